"""Do counts fit the probabilities that are promised?"""

import torch
from torch import Tensor


def chi_squared_p(counts: Tensor, expected: Tensor) -> float:
    """The probability of counts as far from the expected ones, or farther; what is expected less than five times is one class."""
    common = expected >= 5
    seen = torch.cat((counts[common], counts[~common].sum().view(1)))
    wanted = torch.cat((expected[common], expected[~common].sum().view(1)))
    statistic = ((seen - wanted).square() / wanted.clamp(min=0.5)).sum()
    return float(torch.special.gammaincc(common.sum() / 2, statistic / 2))
