"""Where to look: weights on the locations of a photo, from how well each fits what the decoder is about to say."""

import torch
from torch import Tensor, nn

from showattend.models.energy import AdditiveEnergy


class SoftAttention(nn.Module):
    """Additive attention, e_ti = w . tanh(W_a a_i + W_h h_{t-1}), alpha = softmax(e), z = sum_i alpha_i a_i (Xu et al. 2015, eq. 4-6, 13).

    The share of the locations, W_a a_i, is made once per photo by `keys` and serves every word of every caption.
    """

    def __init__(self, feature_size: int, hidden_size: int, attention_size: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.key = nn.Linear(feature_size, attention_size)
        self.query = nn.Linear(hidden_size, attention_size, bias=False)
        self.energy = nn.Linear(attention_size, 1, bias=False)
        with torch.no_grad():
            self.key.weight.mul_(gain)
            self.energy.weight.mul_(gain)

    def keys(self, features: Tensor) -> Tensor:
        """W_a a_i, the part that no word changes, (N,L,A)."""
        keys: Tensor = self.key(features)
        return keys

    def forward(self, features: Tensor, keys: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Look once for every row; N photos with G rows each.

        Args:
            features: annotations a_i, (N,L,D)
            keys: what `keys` made of them, (N,L,A)
            h: the decoder's state h_{t-1}, (N,G,H)

        Returns:
            context: expected annotation z-hat, (N,G,D)
            alpha: weights on the locations, each row sums to 1, (N,G,L)
        """
        weight, query = self.energy.weight[0], self.query(h)
        # In mixed precision, too, the energies are made in full: their kernel works in place and is no slower so.
        with torch.autocast(h.device.type, enabled=False):
            alpha = AdditiveEnergy.apply(keys.to(weight.dtype), query.to(weight.dtype), weight).softmax(-1)
        return alpha.to(features.dtype) @ features, alpha
