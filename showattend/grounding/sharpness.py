"""How sharp alpha is for each class of words, and how much it changes from word to word; needs no boxes."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from showattend.arrays import Floats
from showattend.inference import Caption
from showattend.metrics import Estimate, mean_estimates
from showattend.vocabulary.word_classes import WORD_CLASSES, WordClasses


class ClassSharpness(NamedTuple):
    """Alpha at the words of one class.

    words: how many
    entropy: of alpha over the locations, in nats: 0 for all weight on one of L, log L for the same on all
    """

    words: int
    entropy: Estimate


class Sharpness(NamedTuple):
    """Alpha at all words of some captions.

    locations: L
    classes: by the name of the class
    change: entropy of a caption's mean alpha less the mean entropy of its alphas, in nats: 0 where all words have the same map
    """

    locations: int
    classes: dict[str, ClassSharpness]
    change: Estimate


def summarize_sharpness(captions: Sequence[tuple[Hashable, Caption]], class_of: WordClasses) -> Sharpness:
    """The sharpness of alpha over captions of at least one word, each with its photo's id.

    Alpha is normalised over the locations: adaptive attention's weight on its sentinel does not count.
    """
    captions = [(photo, caption) for photo, caption in captions if caption.words]
    entropies = [alpha_entropies(_normalized(caption)) for _, caption in captions]
    changes = [
        alpha_entropies(_normalized(caption).mean(0, keepdims=True)) - of_words.mean()
        for (_, caption), of_words in zip(captions, entropies, strict=True)
    ]
    rows = [
        (class_of(word), photo, entropy)
        for (photo, caption), of_words in zip(captions, entropies, strict=True)
        for word, entropy in zip(caption.words, of_words, strict=True)
    ]
    classes = {}
    for name in WORD_CLASSES:
        of_class = [(photo, entropy) for word_class, photo, entropy in rows if word_class == name]
        if of_class:
            photos, values = zip(*of_class, strict=True)
            classes[name] = ClassSharpness(len(values), mean_estimates(np.array(values)[:, None], photos)[0])
    (change,) = mean_estimates(np.stack(changes), [photo for photo, _ in captions])
    return Sharpness(captions[0][1].alphas.shape[1], classes, change)


def alpha_entropies(alphas: Floats) -> Floats:
    """The entropy of each row of (T,L) in nats, (T,)."""
    entropies: Floats = -(alphas * np.log(np.maximum(alphas, 1e-30))).sum(1)
    return entropies


def _normalized(caption: Caption) -> Floats:
    alphas = caption.alphas.double().numpy()
    shares: Floats = alphas / np.maximum(alphas.sum(1, keepdims=True), 1e-30)
    return shares
