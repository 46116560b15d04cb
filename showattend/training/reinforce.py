"""How hard attention learns where to look: the choice of a location is rewarded by the likelihood of what is said."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from showattend.errors import InputError, unknown_name
from showattend.models.decoder import DecoderOutput
from showattend.training.losses import attention_entropy, caption_log_likelihoods, leave_one_out, reinforce_loss

BASELINES = ("moving_average", "leave_one_out")


@dataclass(frozen=True)
class ReinforceConfig:
    """Choices of the estimator; the defaults are the paper's and its authors' code's.

    Raises:
        InputError: a value out of its range.
    """

    weight: float = 0.1  # lambda_r, of the score function against the likelihood
    entropy: float = 0.002  # lambda_e, of alpha's entropy, in nats per word
    # moving_average of the likelihoods, or leave_one_out: the mean of the other draws for a caption or, with one sample, of the
    # photo's other captions. The second knows how hard a caption is, and varies less wherever captions differ in that.
    baseline: str = "moving_average"
    decay: float = 0.9  # of the moving average
    samples: int = 1  # draws for each caption

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise unknown_name("baseline", self.baseline, BASELINES)
        if self.samples < 1:
            raise InputError(f"reinforce: samples is {self.samples}: give at least 1")
        if not 0 <= self.decay < 1:
            raise InputError(f"reinforce: decay is {self.decay}: give at least 0 and less than 1")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "ReinforceConfig":
        """From a mapping of options.

        Raises:
            InputError: an option that is not known.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise unknown_name("option of reinforce", name, known)
        return cls(**options)


class Reinforce(nn.Module):
    """The loss whose gradient teaches hard attention (Xu et al. 2015, section 4.1, eq. 11-12).

    Beside the likelihood's own gradient: weight * (log p(y | s, a) - b) * sum_t d log alpha_{t, s_t} + entropy * d H(alpha).
    b is a moving average over the batches, 0.9 b + 0.1 (mean log-likelihood), which the first batch begins; or the mean of
    the other draws (`leave_one_out`), which varies less.
    """

    average: Tensor

    def __init__(self, config: ReinforceConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("average", torch.tensor(torch.nan))

    def forward(self, spoken: DecoderOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """The loss in nats per word, as the likelihood is.

        Args:
            spoken: what teacher forcing gave; each caption's draws stand one after the other in G
            targets: the words that should have come, in the order of `pack`, (M,)
            mask: where they stand, (N,G,T)

        Returns:
            a scalar

        Raises:
            InputError: leave_one_out where nothing is left: one sample, and one caption of each photo.
        """
        assert spoken.sampled_log_probs is not None
        with torch.no_grad():
            rewards = caption_log_likelihoods(spoken.logits, targets, mask)
        advantages = rewards - self._baseline(rewards, mask.sum(-1))
        score = reinforce_loss(spoken.sampled_log_probs.sum(-1), advantages) / mask.sum().clamp(min=1)
        return self.config.weight * score - self.config.entropy * attention_entropy(spoken.alphas, mask)

    def _baseline(self, rewards: Tensor, words: Tensor) -> Tensor:
        if self.config.baseline == "leave_one_out":
            if rewards.shape[1] == 1:
                raise InputError("leave_one_out needs more than one draw: give reinforce samples of 2, or several captions_per_photo")
            ensemble_step = (-1, self.config.samples if self.config.samples > 1 else rewards.shape[1])
            return leave_one_out(rewards.reshape(ensemble_step), words.reshape(ensemble_step)).view_as(rewards)
        mean = rewards.sum() / (words > 0).sum().clamp(min=1)
        before = torch.where(self.average.isnan(), mean, self.average)
        self.average.copy_(self.config.decay * before + (1 - self.config.decay) * mean)
        return before * (words > 0)
