"""A search in a tiny language for photos, whose captions are to be ranked."""

from factories import TinyLanguage, without_padding
from torch import Tensor

from showattend.decoding import State, StepFunction
from showattend.vocabulary import END


class Photos(TinyLanguage):
    """Photos whose features do not matter."""

    def make_step(self, features: list[Tensor]) -> tuple[StepFunction, State]:
        return self.step, (self.start,)


def words(token_ids: Tensor) -> list[str]:
    """The words of a caption, (T)."""
    return [str(token) for token in without_padding(token_ids) if token != END]
