"""Scheduled sampling: a model that always heard what people said learns little about its own mistakes."""

import torch
from torch import Tensor

from showattend.models.decoder import Decoder
from showattend.vocabulary import PAD, START


@torch.no_grad()
def sample_decoder_inputs(decoder: Decoder, encoder_features: Tensor, words: Tensor, share: float) -> Tensor:
    """Put words that the decoder draws, after what it has heard so far, in the place of some of the words given.

    A coin decides for each word (Bengio et al. 2015, section 2.4, with the share 1 - epsilon). No gradient goes through what
    is drawn, so that training on the mixed words is the paper's training. `<start>`, and padding, stay.

    Args:
        annotations: the encoder's grid, (N,L,encoder_dim)
        words: as `Decoder.forward` hears them, (N,G,T)
        share: probability of a drawn word

    Returns:
        (N,G,T)
    """
    photos, group, length = words.shape
    memory, state = decoder.init_state(encoder_features)
    state = tuple(entry.repeat_interleave(group, 0) for entry in state)
    columns = words.flatten(0, 1).unbind(-1)
    heard = [columns[0]]
    for given in columns[1:]:
        logits, state, _ = decoder.step(heard[-1], state, memory)
        logits[:, [PAD, START]] = -torch.inf
        drawn = logits.float().softmax(-1).multinomial(1).squeeze(-1)
        own = (torch.rand(photos * group, device=words.device) < share) & (given != PAD)
        heard.append(torch.where(own, drawn, given))
    return torch.stack(heard, -1).view(photos, group, length)
