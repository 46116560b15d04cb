"""Captions ranked by how well they agree with what people say of such photos: kernel ridge regression (Saunders et al. 1998).

How well a caption agrees with people's captions of a photo, by CIDEr-D, is known for the photos of the training. For another photo the
regression predicts it from what the encoder sees there, as a weighted sum over all of these: photos that look like it weigh most, and those
that look like many others least. (The k nearest photos alone, Devlin et al. 2015, say less: docs/decoding.md.)
"""

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor
from torch.linalg import solve_triangular
from torch.nn.functional import normalize

from showattend.decoding.generation import Hypotheses
from showattend.decoding.reference_index import ReferenceIndex
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig

# The kernel of two photos is exp(SHARPNESS (cosine - 1)); the ridge stands for how much captions of one photo differ.
SHARPNESS, RIDGE = 2.0, 0.5
# The score of a caption decides between those that agree about equally well.
SCORE_WEIGHT = 0.015


@dataclass(frozen=True)
class Neighbors:
    """P photos by their features, at most MAX_NEIGHBORS, and C captions of each.

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
    def references(self) -> ReferenceIndex:
        """The captions, by their n-grams."""
        return ReferenceIndex(self.token_ids)

    @cached_property
    def cholesky(self) -> Tensor:
        """The lower triangular factor of the kernels of all pairs of photos, with the ridge on the diagonal, (P,P)."""
        kernels = self._kernels(self.features.float())
        kernels.diagonal().add_(RIDGE)
        factor: Tensor = torch.linalg.cholesky(kernels)
        return factor

    def weights(self, features: Tensor) -> Tensor:
        """How much the captions of each photo count for each of N photos, from their features (N,L,D), (N,P); they sum to about 1."""
        kernels = self._kernels(normalize((features.float().mean(1) - self.mean) / self.scale))
        # On a CPU two triangular systems take half of the time of cholesky_solve.
        half_solved = solve_triangular(self.cholesky, kernels.t(), upper=False)
        weights: Tensor = solve_triangular(self.cholesky.mT, half_solved, upper=True).t()
        return weights

    def _kernels(self, features: Tensor) -> Tensor:
        """The kernels of N photos and these, from features of length 1, (N,P)."""
        return (features @ self.features.float().t()).sub_(1).mul_(SHARPNESS).exp_()


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
    with torch.autocast(features.device.type, enabled=False):  # in 16 bits the regression would be none
        photos = zip(found.token_ids, neighbors.weights(features), strict=True)
        agreement = torch.stack([neighbors.references.agreement(captions, weights) for captions, weights in photos])
    return found.best(agreement + SCORE_WEIGHT * found.scores, config.num_captions)
