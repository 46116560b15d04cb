"""The order of tokens in teacher forcing: what is flattened or packed comes back to its place."""

import pytest
import torch
from factories import G, N, T, random_captions

from showattend.models.teacher_forcing import PackedCaptions, flatten_tokens, teacher_forcing_split, unflatten_tokens
from showattend.vocabulary import END, PAD, START


def test_inputs_end_before_end_and_targets_begin_after_start() -> None:
    captions = torch.tensor([[[START, 7, 8, END], [START, 9, END, PAD]]])
    input_ids, target_ids, mask = teacher_forcing_split(captions)
    assert input_ids.tolist() == [[[START, 7, 8], [START, 9, PAD]]]
    assert target_ids.tolist() == [[[7, 8, END], [9, END, PAD]]]
    assert mask.tolist() == [[[True, True, True], [True, True, False]]]


def test_flat_tokens_come_time_step_by_time_step_and_unflatten_to_their_places() -> None:
    token_ids = torch.tensor([[[4, 5, 6], [7, 8, PAD]], [[9, PAD, PAD], [PAD, PAD, PAD]]])
    mask = token_ids != PAD
    flat = flatten_tokens(token_ids, mask)
    assert flat.tolist() == [4, 7, 9, 5, 8, 6]
    assert torch.equal(unflatten_tokens(flat, mask), token_ids)
    assert flatten_tokens(token_ids, None).tolist() == [4, 7, 9, PAD, 5, 8, PAD, PAD, 6, PAD, PAD, PAD]


@pytest.mark.parametrize("static_shapes", [False, True])
def test_packed_captions_scatter_back_to_the_padded_ones(static_shapes: bool) -> None:
    input_ids = random_captions()
    packed = PackedCaptions.pack(input_ids, static_shapes=static_shapes)
    assert torch.equal(packed.scatter_to_padded(packed.input_ids), input_ids)
    assert torch.equal(packed.input_ids[packed.mask], flatten_tokens(input_ids, input_ids != PAD))
    assert len(packed.input_ids) == (N * G * T if static_shapes else sum(n * g for n, g in packed.batch_shapes))


def test_a_block_holds_every_caption_with_a_token_left_and_blocks_never_grow() -> None:
    input_ids = torch.tensor([[[4, 5, 6], [4, PAD, PAD]], [[4, 5, PAD], [PAD, PAD, PAD]]])
    assert PackedCaptions.pack(input_ids).batch_shapes == [(2, 2), (2, 1), (1, 1)]
    assert PackedCaptions.pack(input_ids, static_shapes=True).batch_shapes == [(2, 2)] * 3
    # The long caption comes last: the blocks stay large, and nothing is lost.
    assert PackedCaptions.pack(input_ids.flip(0, 1)).batch_shapes == [(2, 2), (2, 2), (2, 2)]
