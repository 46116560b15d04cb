"""Scheduled sampling: a growing share of the decoder's input ids are its own samples instead of the reference's."""

import torch
from torch import Tensor

from showattend.models.decoder import Decoder
from showattend.vocabulary import PAD, START


@torch.no_grad()
def sample_decoder_inputs(decoder: Decoder, encoder_features: Tensor, input_ids: Tensor, share: float) -> Tensor:
    """Replace some of the reference's input ids by samples from the decoder, given the inputs before them.

    Each token is replaced independently (Bengio et al. 2015, section 2.4, with the share 1 - epsilon). No gradient flows through
    the samples, as in the paper. `<start>` and padding are never replaced.

    Args:
        encoder_features: (N,L,encoder_dim)
        input_ids: of the references, as `Decoder.forward` takes them, (N,G,T)
        share: probability that a token is replaced

    Returns:
        (N,G,T)
    """
    photos, group, length = input_ids.shape
    cache, state = decoder.init_state(encoder_features)
    state = tuple(entry.repeat_interleave(group, 0) for entry in state)
    columns = input_ids.flatten(0, 1).unbind(-1)
    mixed = [columns[0]]
    for reference in columns[1:]:
        logits, state, _ = decoder.step(mixed[-1], state, cache)
        logits[:, [PAD, START]] = -torch.inf
        samples = logits.float().softmax(-1).multinomial(1).squeeze(-1)
        replaced = (torch.rand(photos * group, device=input_ids.device) < share) & (reference != PAD)
        mixed.append(torch.where(replaced, samples, reference))
    return torch.stack(mixed, -1).view(photos, group, length)
