"""Which units are at work, on the disk: one that was begun before is decoded in isolation."""

from contextlib import suppress
from pathlib import Path


class BegunUnits:
    """A file for each unit that a process is at work on; one that is there before says that the process has died, or was stopped.

    Args:
        folder: of these files; None: nothing is remembered
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def begin(self, unit: int) -> bool:
        """Remember a unit.

        Returns:
            whether it was begun before
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(exist_ok=True)
            (self.folder / str(unit)).touch(exist_ok=False)
        except FileExistsError:
            return True
        except OSError:  # a full disk stops the work elsewhere
            return False
        return False

    def end(self, unit: int) -> None:
        """Forget a unit whose part is written, and the folder with the last one."""
        if self.folder is not None:
            with suppress(OSError):
                (self.folder / str(unit)).unlink(missing_ok=True)
                self.folder.rmdir()
