"""Whether the attention's loops are compiled: never, always, or (auto) where the work ahead pays for the compilation.

Work is counted in elements of the attention's maps: one for each location and attention unit, of each token, of each beam. It follows from
sizes that are known beforehand, so that a command decides in the same way each time, also where it goes on with an earlier run.
"""

from showattend.errors import unknown_name

FUSE_MODES = ("never", "auto", "always")
# On a core of a Xeon compiling takes 22 s for a search, which saves 1 ns an element, and 26 s for training, which saves 3 to 6 ns.
SEARCH_ELEMENTS, TRAINING_ELEMENTS = 2.5e10, 1.25e10
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
