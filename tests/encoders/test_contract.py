"""What every encoder must do: each registered member and some networks of every family of torchvision and timm go through this class."""

import json

import pytest
import torch
from factories import random_photos
from torch import nn

from showattend.encoders import Encoder, EncoderConfig, make_encoder, rebuild_encoder
from showattend.encoders.feature_extractor import FeatureExtractor
from showattend.encoders.registry import encoders
from showattend.errors import InputError
from showattend.ops.packed_convolution import PackedConv2d

SIZE = 384  # larger than the part of an image that a location depends on, almost
TORCHVISION = [
    "resnet18",
    "mobilenet_v2",
    "vgg11",
    "efficientnet_b0",
    "convnext_tiny",
    "densenet121",
    "regnet_y_400mf",
    "squeezenet1_1",
]
# Ten families; the larger ones run with the slow tests.
TIMM = [
    "timm/resnet10t",
    "timm/mobilenetv3_small_050",
    "timm/tf_efficientnet_lite0",
    "timm/convnext_atto",
    "timm/regnetx_002",
    "timm/deit_tiny_distilled_patch16_224",
    "timm/swin_tiny_patch4_window7_224",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "timm/efficientnet_b0",
            "timm/vit_tiny_patch16_224",
            "timm/vit_xsmall_patch16_clip_224",
            "timm/vit_small_patch14_reg4_dinov2",
        )
    ),
]
TRANSFORMERS = ("vit", "deit", "swin")


def trained(name: str) -> Encoder:
    """An encoder whose batch normalisation has statistics, as after training."""
    torch.manual_seed(0)
    encoder = make_encoder(EncoderConfig(name, "none"))
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.copy_(0.5 + torch.rand_like(values))
    return encoder


@pytest.fixture(scope="module", params=[*encoders.names(), *TORCHVISION, *TIMM])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return trained(request.param).eval()


def photos_for(encoder: Encoder, count: int, size: int) -> torch.Tensor:
    """Photos of about that size: a transformer takes whole patches only."""
    return random_photos(count, size - size % round(encoder.grid_geometry.step))


def rebuilt(encoder: Encoder) -> Encoder:
    """The encoder as a saved model would rebuild it."""
    again = rebuild_encoder(encoder.config, json.loads(json.dumps(encoder.spec())), encoder.state_dict())
    again.load_state_dict(encoder.state_dict())
    return again.eval()


class TestEncoder:
    def test_features_are_the_rows_of_the_grid(self, encoder: Encoder) -> None:
        photos = photos_for(encoder, 2, 96)
        with torch.inference_mode():
            output = encoder(photos)
        rows, columns = output.grid_shape
        assert output.features.shape == (2, rows * columns, encoder.channels)
        assert abs(rows - photos.shape[-1] / encoder.grid_geometry.step) <= 1

    def test_geometry_is_where_the_gradients_are(self, encoder: Encoder) -> None:
        """The pixels that a location depends on lie around the centre that the geometry gives.

        A transformer's locations depend on all pixels; tests/encoders/test_timm_encoder.py checks their patches.
        """
        if encoder.config.name.removeprefix("timm/").startswith(TRANSFORMERS):
            pytest.skip("a transformer's locations see the whole photo")
        image = torch.randn(1, 3, SIZE, SIZE, requires_grad=True)
        grid = encoder.feature_map(image)
        first, step = encoder.geometry_at(SIZE)
        place = round((SIZE / 2 - first) / step)  # in the middle: elsewhere the borders cut off a part of what it depends on
        (gradient,) = torch.autograd.grad(grid[0, :, place, place].square().sum(), image)
        influence = gradient.abs().sum((0, 1)) / gradient.abs().sum()
        centres = torch.arange(SIZE) + 0.5
        centre = (influence.sum(1) @ centres, influence.sum(0) @ centres)
        # An error of the kind that there can be is half a cell; chance of the random weights moves the centre by up to a quarter.
        assert centre == pytest.approx((first + place * step, first + place * step), abs=step / 3)

    def test_pixels_are_normalised_with_the_encoder_s_mean_and_std(self, encoder: Encoder) -> None:
        photos = photos_for(encoder, 1, 64)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in encoder.normalization)
        with torch.inference_mode():
            expected = encoder.feature_map(((photos / 255 - mean) / std).contiguous(memory_format=torch.channels_last))
            features, _ = encoder(photos)
        assert torch.allclose(features, expected.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-3 * float(expected.abs().max()))

    def test_a_rebuilt_encoder_is_equal(self, encoder: Encoder) -> None:
        again, photos = rebuilt(encoder), photos_for(encoder, 1, 96)
        assert list(again.state_dict()) == list(encoder.state_dict())
        assert (again.channels, again.grid_geometry, again.stages) == (encoder.channels, encoder.grid_geometry, encoder.stages)
        assert again.normalization == encoder.normalization
        assert again.config == encoder.config
        assert again.spec() == encoder.spec()
        with torch.inference_mode():
            assert torch.equal(again(photos).features, encoder(photos).features)

    def test_folded_batchnorm_changes_no_feature(self, encoder: Encoder) -> None:
        photos = photos_for(encoder, 3, 64)
        for one in (encoder, rebuilt(encoder)):
            norms = sum(isinstance(module, nn.BatchNorm2d) for module in one.modules())
            folded = one.with_folded_batchnorm()
            assert not any(parameter.requires_grad for parameter in folded.parameters())
            assert sum(isinstance(module, nn.BatchNorm2d) for module in one.modules()) == norms
            with torch.inference_mode():
                expected, features = one(photos), folded(photos)
            assert features.grid_shape == expected.grid_shape
            assert (features.features - expected.features).norm() < 1e-5 * expected.features.norm()

    def test_an_encoder_for_inference_has_the_same_features(self, encoder: Encoder) -> None:
        packed = encoder.eval().for_inference()
        assert not any(parameter.requires_grad for parameter in packed.parameters())
        for count, size in ((2, 64), (1, 96)):  # weights are packed for the first size
            photos = photos_for(encoder, count, size)
            with torch.inference_mode():
                expected, features = encoder(photos), packed(photos)
            assert features.grid_shape == expected.grid_shape
            assert (features.features - expected.features).norm() < 1e-5 * expected.features.norm()

    def test_features_in_bfloat16_are_near(self, encoder: Encoder) -> None:
        photos = photos_for(encoder, 2, 64)
        exact, rounded = (FeatureExtractor(encoder.eval(), dtype)(photos) for dtype in (None, torch.bfloat16))
        assert rounded.grid_shape == exact.grid_shape
        error = (rounded.features.float() - exact.features).norm() / exact.features.norm()
        assert error < 0.1

    def test_training_starts_at_a_stage(self, encoder: Encoder) -> None:
        parameters = dict(encoder.network.named_parameters())
        for stage in (encoder.stages[0], encoder.stages[-1]):
            encoder.set_trainable(stage)
            trainable = [name for name, parameter in parameters.items() if parameter.requires_grad]
            assert trainable == list(parameters)[-len(trainable) :]
            assert trainable[0].startswith(f"{stage}.")
        encoder.set_trainable("all")
        assert all(parameter.requires_grad for parameter in parameters.values())
        encoder.set_trainable(None)
        assert {parameter.requires_grad for parameter in parameters.values()} == {encoder.trains_from_scratch}
        with pytest.raises(InputError, match="unknown encoder stage 'nowhere'"):
            encoder.set_trainable("nowhere")

    def test_gradients_reach_the_first_parameter(self, encoder: Encoder) -> None:
        encoder.set_trainable("all")
        features, _ = encoder(photos_for(encoder, 1, 64))
        first = next(encoder.network.parameters())
        (gradient,) = torch.autograd.grad(features.square().sum(), first)
        assert gradient.any()
        encoder.set_trainable(None)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_all_convolutions_are_packed_with_the_activations_behind_them(name: str) -> None:
    modules = list(trained(name).for_inference().modules())
    if any(isinstance(module, PackedConv2d) for module in modules):  # oneDNN's operators are there
        assert not any(isinstance(module, nn.Conv2d) for module in modules)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "timm/resnet10t"])
def test_all_batchnorm_behind_convolutions_is_folded(name: str) -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in trained(name).with_folded_batchnorm().modules())
