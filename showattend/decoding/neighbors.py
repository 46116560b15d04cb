"""Captions ranked by how well they agree with people's captions of the photos that look most alike (Devlin et al. 2015, Mao et al. 2015).

The photos are those of the training, by the mean of what the encoder sees in each. One of them alone may show something else; what the
captions of a hundred have in common with one that the model found speaks for it.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from showattend.decoding.cider_d import InverseDocumentFrequencies, cider_d, squared_norms
from showattend.decoding.generation import Hypotheses
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import PAD

# A neighbor weighs as much as this power of its similarity, a cosine.
SIMILARITY_POWER = 4
# The score of a caption decides between those that agree about equally well.
SCORE_WEIGHT = 0.02
# Photos whose features are widened to float32 together.
ROWS = 2**13


@dataclass(frozen=True)
class Neighbors:
    """P photos to be found by their features, and C captions of each.

    Args:
        features: of each photo, less the mean, over the scale, of length 1, float16 (P,D)
        mean, scale: of each channel, over the photos, float32 (D)
        token_ids: words, then `<pad>`; where a photo has fewer than C captions nothing but `<pad>`, int32 (P,C,U)
    """

    features: Tensor
    mean: Tensor
    scale: Tensor
    token_ids: Tensor

    @classmethod
    def from_photos(cls, features: Tensor, token_ids: Tensor) -> "Neighbors":
        """From the features of each photo, averaged over its locations, (P,D), and token ids (P,C,U)."""
        features = features.float()
        scale, mean = torch.std_mean(features, 0, correction=0)
        scale = torch.where(scale > 0, scale, 1.0)
        return cls(normalize((features - mean) / scale).half(), mean, scale, token_ids.int())

    def to(self, device: torch.device) -> "Neighbors":
        """The same on a device."""
        return Neighbors(**{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """The fields, by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def idf(self) -> InverseDocumentFrequencies:
        """How much each n-gram weighs: the fewer of the photos have it, the more."""
        return InverseDocumentFrequencies(self.token_ids)

    @cached_property
    def norms(self) -> tuple[Tensor, ...]:
        """Those of the captions, see `squared_norms`, each (P,C)."""
        flat = squared_norms(self.token_ids.flatten(0, 1), self.idf)
        return tuple(norms.view(self.token_ids.shape[:2]) for norms in flat)

    def find(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The photos most like each of N photos.

        Args:
            features: of the N photos, (N,L,D)

        Returns:
            their rows and the weights of their captions, each (N,count); fewer where there are not so many photos
        """
        sought = normalize((features.float().mean(1) - self.mean) / self.scale)
        similarity = torch.cat([sought @ rows.float().t() for rows in self.features.split(ROWS)], 1)
        nearest, rows = similarity.topk(min(count, len(self.features)))
        return rows, nearest.clamp(min=0) ** SIMILARITY_POWER


def check_neighbors(config: GenerationConfig, neighbors: Neighbors | None) -> None:
    """Refuse to rank by neighbors where there are none.

    Raises:
        InputError: there are none.
    """
    if config.neighbors and neighbors is None:
        raise InputError(
            "neighbors ranks captions by those of the training photos, which the model folder lacks: "
            "add them with showattend neighbors --model DIR --data.root DIR, or leave out neighbors"
        )


def rank_by_neighbors(found: Hypotheses, features: Tensor, neighbors: Neighbors, config: GenerationConfig) -> Hypotheses:
    """The best `num_captions` of the captions that were found, by agreement and score; those that have not ended stay behind all others.

    Args:
        features: of the photos, (N,L,D), by the encoder that the neighbors' features are from
    """
    rows, weights = neighbors.find(features, config.neighbors)
    photos = zip(found.token_ids, rows, weights, strict=True)
    agreement = torch.stack([_agreement(captions, own_rows, own_weights, neighbors) for captions, own_rows, own_weights in photos])
    return found.best(agreement + SCORE_WEIGHT * found.scores, config.num_captions)


def _agreement(captions: Tensor, rows: Tensor, weights: Tensor, neighbors: Neighbors) -> Tensor:
    """The weighted mean of the CIDEr-D of captions (K,T) against those of a photo's neighbors, (K,)."""
    references = neighbors.token_ids[rows]  # (M,C,U)
    is_word = references != PAD
    is_caption = is_word.any(-1)
    longest = int(is_word.sum(-1).max())
    norms = [norms[rows][is_caption] for norms in neighbors.norms]
    similarity = cider_d(captions, references[is_caption][:, :longest], neighbors.idf, norms)
    shares = (weights / is_caption.sum(1).clamp(min=1)).unsqueeze(1).expand_as(is_caption)[is_caption]
    return similarity @ shares / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
