"""The extractor gives the encoder's features, however it batches and folds."""

import threading

import pytest
import torch
from factories import random_photos

from showattend.encoders import EncoderConfig, make_encoder
from showattend.encoders.feature_extractor import FOLD_AFTER, MICRO_BATCH, FeatureExtractor
from showattend.ops.threads import torch_threads


def test_batchnorm_is_folded_after_enough_photos() -> None:
    encoder = make_encoder(EncoderConfig("mobilenet_v2", "none")).eval()
    extractor, images = FeatureExtractor(encoder), random_photos(FOLD_AFTER - 1, 64)
    with torch.inference_mode():
        expected, _ = encoder(images)
        assert torch.allclose(extractor(images)[0], expected, atol=1e-4)
        assert extractor.encoder is encoder
        encoder_features, _ = extractor(images)
        assert (encoder_features - expected).norm() < 1e-5 * expected.norm()
        with_folded_batchnorm = extractor.encoder
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in with_folded_batchnorm.modules())
        extractor(images)
    assert extractor.encoder is with_folded_batchnorm


def test_features_in_bfloat16_depend_on_the_photo_alone() -> None:
    encoder, images = make_encoder(EncoderConfig("mobilenet_v2", "none")).eval(), random_photos(2 * MICRO_BATCH, 64)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    extractor = FeatureExtractor(encoder, torch.bfloat16)
    first = extractor(images[:MICRO_BATCH]).features
    again = extractor(images).features
    assert again.dtype == torch.bfloat16
    assert torch.equal(again[:MICRO_BATCH], first)
    assert all(torch.equal(tensor, before[name]) and tensor.dtype == before[name].dtype for name, tensor in encoder.state_dict().items())
    with torch.inference_mode():
        expected = encoder(images).features
    error = (again.float() - expected).norm() / expected.norm()
    assert 1e-3 < error < 0.05, "rounded, by its own products and not only at the end"


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, MICRO_BATCH, 3 * MICRO_BATCH + 1])
def test_photos_in_parallel_have_the_features_of_photos_one_by_one(threads: int, count: int) -> None:
    encoder, images = make_encoder(EncoderConfig("resnet18", "none")).eval(), random_photos(count, 64)
    with torch_threads(threads), torch.inference_mode():
        extractor = FeatureExtractor(encoder)
        encoder_features, grid = extractor(images)
        expected = [encoder(images[i : i + 1]) for i in range(count)]
        assert {size for _, size in expected} == {grid}
        assert torch.allclose(encoder_features, torch.cat([one for one, _ in expected]), atol=1e-4)
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize("own_share", ["none", "all"])
def test_the_thread_that_waits_computes_what_no_other_has_begun(own_share: str) -> None:
    encoder, images = make_encoder(EncoderConfig("resnet18", "none")).eval(), random_photos(3 * MICRO_BATCH, 64)
    extractor = FeatureExtractor(encoder)
    extractor.threads, extractor.fold_after = 2, 1
    free = threading.Event()
    before = extractor._pool.submit(free.wait, 30) if own_share == "all" else None  # keeps the only other thread busy
    wait = extractor.submit(images)
    if own_share == "none":
        extractor._pool.submit(int).result()
    found = wait().features
    assert before is None or not before.done()
    free.set()
    with torch.inference_mode():
        assert torch.allclose(found, encoder(images).features, atol=1e-4)


def test_an_error_in_a_thread_is_raised() -> None:
    extractor = FeatureExtractor(make_encoder(EncoderConfig("resnet18", "none")).eval())
    extractor.threads = 2
    with pytest.raises(RuntimeError):
        extractor(torch.zeros(3 * MICRO_BATCH, 1, 64, 64, dtype=torch.uint8).expand(-1, 5, -1, -1))
