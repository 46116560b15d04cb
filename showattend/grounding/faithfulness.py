"""Does a word hang on what the model looked at? Hide it, and see how the word's probability falls.

Deletion and insertion curves (Petsiuk et al. 2018, RISE) on the annotations: locations are hidden one after the other, or
shown one after the other, by alpha, the largest first, and for comparison in random orders. A map that says truly what a word
hangs on makes its probability fall sooner under deletion and rise sooner under insertion than chance does.

To hide a location is to put the photo's mean annotation in its place, for the whole caption. Zeros would be an annotation that
the decoder has never met, and would pull at the mean annotation, which its first state is made of; the mean says nothing of any
place and leaves what is known of the photo as a whole, so that what falls is what was known from looking.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from showattend.grounding.geometry import Floats
from showattend.grounding.mentions import Mention
from showattend.inference import Captioner
from showattend.models.caption_model import CaptionModel
from showattend.models.inputs import Features, Pixels

SHARES = np.arange(11) / 10  # of the locations that are hidden, or shown
RANDOM_ORDERS = 3  # for each word; their curves are averaged


class Curves(NamedTuple):
    """Probabilities of a word at each share of SHARES, (2,S): in the order of alpha, and the mean of random orders."""

    deletion: Floats
    insertion: Floats


def curves(captioner: Captioner, mentions: Sequence[Mention], *, batch_size: int = 32, seed: int = 0) -> Iterator[Curves]:
    """The curves of each word, in order; each photo goes through the encoder once if its mentions stand together.

    Args:
        mentions: of words that the model knows
        batch_size: maps of annotations that go through the decoder together
        seed: of the random orders
    """
    chance = torch.Generator().manual_seed(seed)
    network, vocabulary = captioner.model.network, captioner.model.vocabulary
    for path, of_photo in groupby(mentions, key=lambda mention: mention.photo.path):
        photo, _ = captioner.model.preprocessing.load(path)
        with torch.inference_mode():
            (encoder_features,) = network.encode_photos(Pixels(photo[None].to(captioner.device)))
            for mention in of_photo:
                heard = vocabulary.encode(mention.caption.words)[: mention.word.position + 2]  # <start> before it, the word as the last
                hidden = masks(orders(torch.from_numpy(mention.alpha), chance))
                parts = hidden.flatten(0, 2).to(captioner.device).split(batch_size)
                found = torch.cat([word_probabilities(network, encoder_features, heard, part) for part in parts])
                by_alpha, *by_chance = found.cpu().double().view(hidden.shape[:3]).unbind(1)
                yield Curves(*torch.stack((by_alpha, torch.stack(by_chance).mean(0)), 1).numpy())


def orders(alpha: Tensor, chance: torch.Generator) -> Tensor:
    """Locations in the order of alpha, the largest first, then in random orders, (1+RANDOM_ORDERS,L); equal ones come as chance has it."""
    shuffled = torch.stack([torch.randperm(len(alpha), generator=chance) for _ in range(1 + RANDOM_ORDERS)])
    shuffled[0] = shuffled[0][alpha[shuffled[0]].argsort(descending=True, stable=True)]
    return shuffled


def masks(orders: Tensor) -> Tensor:
    """What is hidden, for deletion and for insertion, for each of O orders, at each share, (2,O,S,L)."""
    counts = torch.from_numpy((SHARES * orders.shape[1]).round())
    first = orders.argsort(1)[:, None] < counts[:, None]
    return torch.stack((first, ~first))


def word_probabilities(network: CaptionModel, encoder_features: Tensor, heard: Sequence[int], hidden: Tensor) -> Tensor:
    """p of the last word after the others, `<start>` first, with K sets of locations hidden.

    Args:
        annotations: of one photo, (L,D)
        heard: numbers of the words
        hidden: (K,L)

    Returns:
        (K,)
    """
    photos = torch.where(hidden[..., None], encoder_features.mean(0), encoder_features)
    before = torch.tensor(heard[:-1], device=encoder_features.device).expand(len(hidden), 1, -1)
    # Logits come first words first; only the last ones are asked for.
    logits: Tensor = network(Features(photos), before).logits[-len(hidden) :]
    return logits.float().softmax(-1)[:, heard[-1]]


def areas(found: Floats) -> Floats:
    """The areas under curves over SHARES, (...,S) to (...): the mean height, from 0 to 1."""
    return np.asarray(np.trapezoid(found, SHARES, axis=-1))
