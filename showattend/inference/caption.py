"""Results of inference: captions with their attention maps, scores of given captions, and photos that failed.

Nothing here needs torch when it is imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from showattend.geometry import Box
from showattend.vocabulary import Vocabulary, join_tokens, token_label

if TYPE_CHECKING:
    from torch import Tensor

    from showattend.decoding import Hypotheses


@dataclass(frozen=True)
class Caption:
    """A caption and its attention weights.

    Attributes:
        words: T words, or subwords of a model that was trained on them
        score: log-probability of the caption, divided by its length ** length_penalty
        alphas: weights on the locations at each word, (T,L); a row sums to 1, less the sentinel's share in adaptive attention;
            a NumPy array where an exported model captioned
        grid_shape: rows and columns of the locations, which are stored row by row from the top left
        crop_box: the part of the photo that the network sees: left, upper, right, lower, in the photo's pixels
        grid_box: what the grid covers, each location in the middle of its cell; it may extend beyond `crop_box`
        alternatives: the next best captions of the photo, where `num_captions` is above 1
        photo: the file or open picture that was captioned
        log_probs: of each word and of `<end>`, given the words before it, in nats, (T+1,)
        betas: mean over the channels of the gate on the context at each word, (T,); None for a decoder without this gate
        locations: index of the location that hard attention chose at each word, (T,); None where it took the expected features
        gates: for each layer of cells, the lowest first, the gates' names and values (T,H)
        tokenizer: what the words come from; those of `char` are written without spaces

    `log_probs`, `betas`, `locations` and `gates` take a second pass through the decoder: see `details` of `Captioner.caption`.
    In a notebook a caption shows itself as the viewer.
    """

    words: list[str]
    score: float
    alphas: Tensor
    grid_shape: tuple[int, int]
    crop_box: Box
    grid_box: Box
    alternatives: list[Caption] = field(default_factory=list)
    photo: Any = field(default=None, repr=False)
    log_probs: Tensor | None = field(default=None, repr=False)
    betas: Tensor | None = field(default=None, repr=False)
    locations: Tensor | None = field(default=None, repr=False)
    gates: list[dict[str, Tensor]] = field(default_factory=list, repr=False)
    tokenizer: str = field(default="nltk", repr=False)

    def __str__(self) -> str:
        return join_tokens(self.words, self.tokenizer)

    @property
    def labels(self) -> list[str]:
        """The words as figures show them; of a word in subwords, those after the first begin with a hyphen."""
        return [token_label(word, self.tokenizer) for word in self.words]

    def figure(self, **options: Any) -> Any:
        """The attention map of each word as a `matplotlib.figure.Figure`.

        Args:
            options: those of `visualize.attention_figure`, such as style="heat" or columns=3

        Raises:
            InputError: the photo is not known or its file can no longer be read, or an option has no such value.
        """
        from showattend.visualize import attention_figure, photo_of

        return attention_figure(photo_of(self), self, **options)

    def _repr_html_(self) -> str:
        """The viewer, for notebooks; the words alone where the photo is not at hand."""
        from showattend.visualize import notebook_html

        return notebook_html(self)


class CaptionScore(NamedTuple):
    """How probable a given caption is.

    caption: the words, alpha at each word, and as score the log-probability of all words and `<end>`
    log_probs: of each word and of `<end>`, in nats, (T+1,)
    unknown: words that are not in the vocabulary; their log-probability is that of `<unk>`
    """

    caption: Caption
    log_probs: Tensor
    unknown: list[str]


class Failure(NamedTuple):
    """A photo that could not be captioned, with the reason."""

    reason: str


class PhotoGrid(NamedTuple):
    """Where the locations of a photo lie; see the fields of `Caption`."""

    grid_shape: tuple[int, int]
    crop_box: Box
    grid_box: Box


def for_numpy(alphas: Tensor) -> Tensor:
    """Alphas in the processor's memory, of a type that NumPy has too: bfloat16 becomes float32."""
    return alphas.cpu().float()


def best_caption(hypotheses: Hypotheses, row: int, vocabulary: Vocabulary, grid: PhotoGrid) -> Caption:
    """The best caption of one photo, with the other hypotheses that exist as its alternatives."""
    token_ids, scores, alphas = hypotheses.token_ids[row].tolist(), hypotheses.scores[row].tolist(), for_numpy(hypotheses.alphas[row])
    captions: list[Caption] = []
    for ids, score, weights in zip(token_ids, scores, alphas, strict=True):
        if score > -math.inf or not captions:
            words = vocabulary.decode(ids)
            captions.append(Caption(words, score, weights[: len(words)], *grid, tokenizer=vocabulary.tokenizer))
    best, *alternatives = captions
    return replace(best, alternatives=alternatives)
