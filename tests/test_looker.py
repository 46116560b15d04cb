"""An encoder that only looks sees what the encoder sees, whatever is done to be fast."""

import pytest
import torch
from test_encoder import photos

from showattend.encoders.base import Encoder, EncoderConfig
from showattend.encoders.feature_extractor import REPAID, TOGETHER, Looker


def test_an_encoder_is_folded_when_that_has_paid() -> None:
    encoder = Encoder(EncoderConfig("mobilenet_v2")).eval()
    looker, images = Looker(encoder), photos(REPAID - 1, 64)
    with torch.inference_mode():
        expected, _ = encoder(images)
        assert torch.allclose(looker(images)[0], expected, atol=1e-4)
        assert looker.encoder is encoder
        annotations, _ = looker(images)
        assert (annotations - expected).norm() < 1e-5 * expected.norm()
        folded = looker.encoder
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
        looker(images)
    assert looker.encoder is folded


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, TOGETHER, 3 * TOGETHER + 1])
def test_photos_side_by_side_are_photos_one_by_one(threads: int, count: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        encoder, images = Encoder(EncoderConfig("resnet18")).eval(), photos(count, 64)
        looker = Looker(encoder)
        with torch.inference_mode():
            annotations, grid = looker(images)
            expected = [encoder(images[number : number + 1]) for number in range(count)]
        assert {size for _, size in expected} == {grid}
        assert torch.allclose(annotations, torch.cat([one for one, _ in expected]), atol=1e-4)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_what_fails_for_one_photo_fails_for_all() -> None:
    looker = Looker(Encoder(EncoderConfig("resnet18")).eval())
    looker.threads = 2
    with pytest.raises(RuntimeError):
        looker(torch.zeros(3 * TOGETHER, 1, 64, 64, dtype=torch.uint8).expand(-1, 5, -1, -1))
