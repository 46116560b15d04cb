"""Word dropout: some of the decoder's input words become `<unk>`, so that it must look at the photo for what they said."""

import torch
from torch import Tensor

from showattend.vocabulary import PAD, START, UNKNOWN


def drop_words(input_ids: Tensor, share: float) -> Tensor:
    """Replace words by `<unk>`, each independently; `<start>` and padding stay (Bowman et al. 2016, section 3.1).

    Args:
        input_ids: of the references, as `Decoder.forward` takes them, (N,G,T)
        share: probability that a word is replaced

    Returns:
        (N,G,T)
    """
    if not share:  # and draw nothing
        return input_ids
    dropped = (torch.rand(input_ids.shape, device=input_ids.device) < share) & (input_ids != PAD) & (input_ids != START)
    return input_ids.masked_fill(dropped, UNKNOWN)
