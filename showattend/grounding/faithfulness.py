"""Deletion and insertion curves on the encoder features: a word's probability while locations are hidden or shown (RISE).

Locations are hidden one after the other, or shown one after the other, in the order of alpha, the largest first, and for
comparison in random orders (Petsiuk et al. 2018). If the word depends on the locations with large alpha, its probability falls
sooner under deletion and rises sooner under insertion than in random orders.

A hidden location gets the photo's mean feature, for the whole caption. Zeros would be a feature that never occurs in training, and
would change the mean feature, from which the decoder's first state is computed. The mean feature says nothing about a single
location and keeps what is known of the photo as a whole. So the part of the probability that falls is the part that came from
attending.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from showattend.arrays import Floats
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


def faithfulness_curves(captioner: Captioner, mentions: Sequence[Mention], *, batch_size: int = 32, seed: int = 0) -> Iterator[Curves]:
    """The curves of each word, in order; each photo goes through the encoder once if its mentions stand together.

    Args:
        mentions: of words that the model knows
        batch_size: feature maps that go through the decoder together
        seed: of the random orders
    """
    rng = torch.Generator().manual_seed(seed)
    network = captioner.model.network
    for path, of_photo in groupby(mentions, key=lambda mention: mention.photo.path):
        photo, _ = captioner.model.preprocessing.load(path)
        with torch.inference_mode():
            (features,) = network.encode_photos(Pixels(photo[None].to(captioner.device)))
            for mention in of_photo:
                token_ids = captioner.model.vocabulary.encode(mention.caption.words)[: mention.word.position + 2]  # <start> … the word
                hidden = hidden_masks(location_orders(torch.from_numpy(mention.alpha), rng))  # (2,O,S,L)
                parts = hidden.flatten(0, 2).to(captioner.device).split(batch_size)
                probabilities = torch.cat([word_probabilities(network, features, token_ids, part) for part in parts])
                by_alpha, *at_random = probabilities.cpu().double().view(hidden.shape[:3]).unbind(1)
                yield Curves(*torch.stack((by_alpha, torch.stack(at_random).mean(0)), 1).numpy())


def location_orders(alpha: Tensor, rng: torch.Generator) -> Tensor:
    """Locations in the order of alpha, the largest first, then in random orders, (1+RANDOM_ORDERS,L); equal alphas in random order."""
    orders = torch.stack([torch.randperm(len(alpha), generator=rng) for _ in range(1 + RANDOM_ORDERS)])
    orders[0] = orders[0][alpha[orders[0]].argsort(descending=True, stable=True)]
    return orders


def hidden_masks(orders: Tensor) -> Tensor:
    """The hidden locations for deletion and for insertion, for each of O orders, at each share, (O,L) to (2,O,S,L)."""
    counts = torch.from_numpy((SHARES * orders.shape[1]).round())
    first = orders.argsort(1)[:, None] < counts[:, None]
    return torch.stack((first, ~first))


def word_probabilities(network: CaptionModel, features: Tensor, token_ids: Sequence[int], hidden: Tensor) -> Tensor:
    """The probability of the last token after the others, `<start>` first, with K sets of locations hidden.

    Args:
        features: of one photo, (L,D)
        token_ids: (T,)
        hidden: (K,L)

    Returns:
        (K,)
    """
    photos = Features(torch.where(hidden[..., None], features.mean(0), features))
    input_ids = torch.tensor(token_ids[:-1], device=features.device).expand(len(hidden), 1, -1)
    # Logits come time step by time step; only those of the last one are used.
    logits: Tensor = network(photos, input_ids).logits[-len(hidden) :]
    return logits.float().softmax(-1)[:, token_ids[-1]]


def curve_areas(heights: Floats) -> Floats:
    """The areas under curves over SHARES, (...,S) to (...): the mean height, from 0 to 1."""
    return np.asarray(np.trapezoid(heights, SHARES, axis=-1))
