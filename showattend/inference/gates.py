"""The gates of the recurrent cell at each word of a caption."""

from collections.abc import Sequence

import torch
from torch import Tensor

from showattend.cells import recording_gates
from showattend.errors import InputError
from showattend.models.inputs import Features
from showattend.pretrained import Pretrained


@torch.inference_mode()
def record_gates(model: Pretrained, features: Features, words: Sequence[str]) -> list[dict[str, Tensor]]:
    """Run the decoder over a caption of T words and record the gates at the step that predicts each word.

    Args:
        features: of the photo, (1,L,D)

    Returns:
        for each layer of cells, the lowest first, the gates' names and values (T,H); no entries for a cell without gates

    Raises:
        InputError: the caption has no words.
    """
    if not words:
        raise InputError("the model's caption of this photo has no words, so no gates can be shown: give another photo or --min-length 1")
    input_ids = torch.tensor(
        model.vocabulary.encode(words)[: len(words)], device=features.values.device
    )  # <start> and all words but the last
    with recording_gates(model.network) as layers:
        model.network(features, input_ids.view(1, 1, -1))
    return [concatenate_steps(steps) for steps in layers]


def concatenate_steps(steps: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Values of each gate at all steps, from one dictionary per step."""
    return {name: torch.cat([gates[name] for gates in steps]).cpu() for name in steps[0]} if steps else {}
