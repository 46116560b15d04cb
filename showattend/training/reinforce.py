"""REINFORCE for hard attention: a sampled location is rewarded by the likelihood of the caption."""

import torch
from torch import Tensor, nn

from showattend.models.decoder import DecoderOutput
from showattend.training.config import ReinforceConfig
from showattend.training.losses import attention_entropy, caption_log_likelihoods, leave_one_out, reinforce_loss
from showattend.training.processes import average


class Reinforce(nn.Module):
    """The score-function loss of hard attention (Xu et al. 2015, section 4.1, eq. 11-12).

    Beside the likelihood's own gradient: weight * (log p(y | s, a) - b) * sum_t d log alpha_{t, s_t} + entropy * d H(alpha).
    b is a moving average over the batches, 0.9 b + 0.1 (mean log-likelihood), whose first value is the first batch's; or the
    mean of the other samples (`leave_one_out`), which varies less.
    """

    average: Tensor

    def __init__(self, config: ReinforceConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("average", torch.tensor(torch.nan))

    def forward(self, output: DecoderOutput, targets: Tensor, mask: Tensor, weight: Tensor | float = 1.0) -> Tensor:
        """The loss in nats per word, as the likelihood is.

        Args:
            output: of teacher forcing; each caption's samples are neighbours in G
            targets: the target ids, in the order of `flatten_tokens`, (M,)
            mask: their positions, (N,G,T)
            weight: of this process's captions among those of all, see `mean_weights`

        Returns:
            a scalar
        """
        assert output.sampled_log_probs is not None
        with torch.no_grad():
            rewards = caption_log_likelihoods(output.logits, targets, mask)
        advantages = rewards - self._baseline(rewards, mask.sum(-1), weight)
        score = reinforce_loss(output.sampled_log_probs.sum(-1), advantages) / mask.sum().clamp(min=1)
        return self.config.weight * score - self.config.entropy * attention_entropy(output.alphas, mask)

    def _baseline(self, rewards: Tensor, lengths: Tensor, weight: Tensor | float) -> Tensor:
        if self.config.baseline == "leave_one_out":
            group = (-1, self.config.samples if self.config.samples > 1 else rewards.shape[1])
            return leave_one_out(rewards.reshape(group), lengths.reshape(group)).view_as(rewards)
        mean = average(weight * rewards.sum() / (lengths > 0).sum().clamp(min=1))
        before = torch.where(self.average.isnan(), mean, self.average)
        self.average.copy_(self.config.decay * before + (1 - self.config.decay) * mean)
        return before * (lengths > 0)
