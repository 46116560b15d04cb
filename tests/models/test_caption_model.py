"""Encoder and decoder joined: pixels and the encoder's features of them are the same photos."""

import pytest
import torch
from factories import random_photos, untrained_model
from torch import Tensor

from showattend.decoding import GenerationConfig
from showattend.models.inputs import Features, Pixels
from showattend.ops import onednn


def test_pixels_and_their_features_give_equal_captions_and_logits() -> None:
    network, pixels = untrained_model().network, Pixels(random_photos(3, 64))
    with torch.inference_mode():
        features = Features(network.encode_photos(pixels))
        input_ids = torch.tensor([[[1, 4, 5]]]).expand(3, 1, 3)
        assert torch.equal(network(pixels, input_ids).logits, network(features, input_ids).logits)
    one, other = (network.caption(photos, GenerationConfig(2, 5)) for photos in (pixels, features))
    assert torch.equal(one.token_ids, other.token_ids)
    assert torch.equal(one.scores, other.scores)


def test_features_in_half_precision_are_brought_to_the_decoders_precision() -> None:
    network = untrained_model().network
    features = Features(torch.rand(2, 4, network.encoder.channels).half())
    assert network.encode_photos(features).dtype == network.decoder.output.weight.dtype


@pytest.mark.skipif(not onednn.multiplies_bfloat16(), reason="this processor has no products of bfloat16")
def test_the_process_wide_switch_stays_as_it_is_while_an_encoder_may_multiply_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vision transformer encodes the next photos in other threads: their products must not be rounded now and then."""
    switched, multiply = [], onednn.linear_rounding_operands

    def recorded(x: Tensor, **operands: Tensor) -> Tensor:
        switched.append(len(x))
        return multiply(x, **operands)

    monkeypatch.setattr(onednn, "linear_rounding_operands", recorded)
    network, photos = untrained_model().network, Pixels(random_photos(2, 64))
    for _ in range(2):
        network.caption(photos, GenerationConfig(2, 5), network.inference_decoder(torch.bfloat16))
        assert bool(switched) == (not hasattr(network.encoder, "head"))
        switched.clear()
        network.encoder.head = torch.nn.Linear(2, 2)
