"""Log-probabilities of given captions, by teacher forcing."""

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from showattend.inference.caption import Caption, CaptionScore, PhotoGrid, for_numpy
from showattend.inference.ensemble import check_numbers
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split, unflatten_tokens
from showattend.pretrained import Pretrained
from showattend.vocabulary import PAD


@torch.inference_mode()
def score_captions(model: Pretrained, features: Features, captions: Sequence[list[str]], grid: PhotoGrid) -> list[CaptionScore]:
    """The log-probability of each caption of one photo, and alpha at each of its words.

    Args:
        features: of the photo, (1,L,D)
        captions: the words of each caption, at least one word
    """
    if not captions:
        return []
    rows = [torch.tensor(model.vocabulary.encode(words), device=features.values.device) for words in captions]
    token_ids = pad_sequence(rows, batch_first=True, padding_value=PAD).unsqueeze(0)
    input_ids, target_ids, mask = teacher_forcing_split(token_ids)
    output = model.network(features, input_ids)
    token_log_probs = -cross_entropy(output.logits.float(), flatten_tokens(target_ids, mask), reduction="none")
    check_numbers(token_log_probs)
    log_probs = unflatten_tokens(token_log_probs, mask)[0].cpu()
    scores = []
    for row, words in enumerate(captions):
        caption = Caption(
            words, float(log_probs[row].sum()), for_numpy(output.alphas[0, row, : len(words)]), *grid, tokenizer=model.vocabulary.tokenizer
        )
        unknown = [word for word in words if word not in model.vocabulary.token_to_id]
        scores.append(CaptionScore(caption, log_probs[row, : len(words) + 1], unknown))
    return scores
