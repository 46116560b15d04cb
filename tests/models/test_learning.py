"""A decoder with any of the cells learns a few captions by heart, and search finds each of them word for word."""

import pytest
import torch

from showattend.cells import cell_names, find_cell
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, make_encoder
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import END, PAD, START

PHOTOS, WORDS, LENGTHS = 5, 20, (6, 6, 5, 4, 3)  # two are the longest: the light GRU normalises over rows, and one has no variance


@pytest.mark.parametrize("cell", cell_names())
def test_one_batch_is_learned_to_exact_captions(cell: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(EncoderConfig("tiny", "none"))
    layers = find_cell(cell).min_layers
    config = DecoderConfig(cell=cell, layers=layers, embedding_size=24, hidden_size=48, attention_size=16, dropout=0.0)
    decoder = Decoder(config, vocabulary_size=WORDS, encoder_dim=encoder.channels)
    features = torch.randn(PHOTOS, 9, encoder.channels)
    token_ids = torch.full((PHOTOS, 1, max(LENGTHS) + 2), PAD)
    for caption, length in zip(token_ids[:, 0], LENGTHS, strict=True):
        caption[: length + 2] = torch.tensor([START, *torch.randint(4, WORDS, (length,)).tolist(), END])
    input_ids, target_ids, mask = teacher_forcing_split(token_ids)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=2e-2)
    decoder.train()
    for _ in range(300):
        output = decoder(features, input_ids)
        loss = caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.03:
            break
    model = CaptionModel(encoder, decoder).eval()
    found = model.caption(Features(features), GenerationConfig(beam=3, max_length=12)).token_ids[:, 0]
    assert [words[words != PAD].tolist() for words in found] == [words[words != PAD].tolist()[1:] for words in token_ids[:, 0]]
