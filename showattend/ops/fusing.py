"""Whether the attention's loops are compiled: never, always, or (auto) where the work ahead pays for the compilation.

Work is counted in elements of the attention's maps: one for each location and attention unit, of each token, of each beam. It follows from
sizes that are known beforehand, so that a command decides in the same way each time, also where it goes on with an earlier run.
"""

from showattend.errors import unknown_name

FUSE_MODES = ("never", "auto", "always")
# Compiling takes 23 s of a core of a Xeon. It saves 0.7 ns an element in a search, and 4 ns in training (scripts/bench_fuse.py).
SEARCH_ELEMENTS, TRAINING_ELEMENTS = 3e10, 1.25e10
# Tokens of a caption that is not written yet, `<end>` included.
TYPICAL_TOKENS = 12


def fuse_mode(value: bool | str) -> str:
    """A mode by its name, or by the switch that it once was: true is always, false never.

    Raises:
        InputError: there is no such mode.
    """
    if isinstance(value, bool):
        return "always" if value else "never"
    if value not in FUSE_MODES:
        raise unknown_name("fuse", value, FUSE_MODES)
    return value
