"""torchvision's networks as encoders. They are built with random weights: what counts here is their grids."""

from pathlib import Path

import pytest
import torch
from factories import random_photos
from safetensors.torch import load_file, save_file
from torchvision.models import get_model

from showattend.encoders.base import Encoder, EncoderConfig, encoder_names
from showattend.errors import InputError


@pytest.mark.parametrize(
    ("name", "stride", "grid", "channels"),
    [
        ("vgg11", None, (14, 14), 512),
        ("resnet18", None, (7, 7), 512),
        ("resnet18", 16, (14, 14), 512),
        ("resnet18", 8, (28, 28), 512),
        ("mobilenet_v2", None, (7, 7), 1280),
        ("mobilenet_v2", 16, (14, 14), 1280),
        ("efficientnet_b0", 16, (14, 14), 1280),
        ("convnext_tiny", None, (7, 7), 768),
        ("densenet121", None, (7, 7), 1024),
        ("squeezenet1_1", None, (13, 13), 512),
        ("tiny", None, (28, 28), 128),
    ],
)
def test_grids(name: str, stride: int | None, grid: tuple[int, int], channels: int) -> None:
    encoder = Encoder(EncoderConfig(name, stride=stride)).eval()
    with torch.inference_mode():
        encoder_features, found = encoder(random_photos(1))
    assert found == grid
    assert encoder_features.shape == (1, grid[0] * grid[1], channels)
    assert encoder.channels == channels


@pytest.mark.slow
def test_the_paper_s_grid_is_conv5_4_of_vgg19() -> None:
    encoder = Encoder(EncoderConfig("vgg19")).eval()
    with torch.inference_mode():
        encoder_features, grid = encoder(random_photos(1))
    assert (encoder_features.shape, grid) == ((1, 196, 512), (14, 14))
    assert len([m for m in encoder.network.modules() if isinstance(m, torch.nn.Conv2d)]) == 16


def test_annotations_are_torchvision_s_own_features_of_the_normalised_photo() -> None:
    network = get_model("mobilenet_v2", weights=None).eval()
    encoder = Encoder(EncoderConfig("mobilenet_v2")).eval()
    encoder.network.load_state_dict({k: v for k, v in network.state_dict().items() if k in encoder.network.state_dict()})
    images = random_photos()
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        expected = network.features((images / 255 - mean) / std)
        encoder_features, _ = encoder(images)
    assert torch.allclose(encoder_features, expected.flatten(2).transpose(1, 2), atol=1e-4)


def test_dilation_sees_what_the_undilated_network_sees_at_every_other_location() -> None:
    """Away from the border, removing a stride adds locations and changes none (Yu & Koltun 2016)."""
    coarse = Encoder(EncoderConfig("resnet18")).eval()
    fine = Encoder(EncoderConfig("resnet18", stride=16)).eval()
    fine.load_state_dict(coarse.state_dict())
    images = random_photos(1, 512)
    with torch.inference_mode():
        few, _ = coarse(images)
        many, _ = fine(images)
    few, many = few.unflatten(1, (16, 16)), many.unflatten(1, (32, 32))
    assert torch.allclose(many[:, ::2, ::2][:, 4:-4, 4:-4], few[:, 4:-4, 4:-4], atol=1e-3)


def test_a_layer_by_name() -> None:
    encoder = Encoder(EncoderConfig("mobilenet_v2", layer="features.13")).eval()
    with torch.inference_mode():
        encoder_features, grid = encoder(random_photos(1))
    assert (encoder_features.shape[2], grid) == (96, (14, 14))


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "densenet121", "convnext_tiny", "tiny"])
def test_folded_it_sees_the_same_and_the_encoder_goes_on_learning(name: str) -> None:
    encoder = Encoder(EncoderConfig(name))
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:  # what a trained network would hold
        for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            values.copy_(0.5 + torch.rand_like(values))
    with_folded_batchnorm = encoder.with_folded_batchnorm()
    assert not any(parameter.requires_grad for parameter in with_folded_batchnorm.parameters())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.training
    assert len([module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]) == len(norms)
    if name in ("mobilenet_v2", "resnet18"):
        assert norms
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in with_folded_batchnorm.modules())
    images = random_photos(3, 64)
    with torch.inference_mode():
        (expected, grid), (encoder_features, found) = encoder.eval()(images), with_folded_batchnorm(images)
    assert found == grid
    assert (encoder_features - expected).norm() < 1e-5 * expected.norm()


def test_freezing_from_a_stage_on() -> None:
    encoder = Encoder(EncoderConfig("resnet18"))
    assert encoder.freeze() == []
    assert len(encoder.freeze("all")) == len(list(encoder.network.parameters()))
    learning = encoder.freeze("layer4")
    named = {name for name, p in encoder.network.named_parameters() if p.requires_grad}
    assert len(learning) == len(named) > 0
    assert all(name.startswith("layer4.") for name in named)
    with pytest.raises(InputError, match="did you mean 'layer4"):
        encoder.freeze("layer44")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_of_the_whole_network(suffix: str, tmp_path: Path) -> None:
    network = get_model("mobilenet_v2", weights=None)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(network.state_dict(), path)
    encoder = Encoder(EncoderConfig("mobilenet_v2"), weights=str(path))
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(get_model("squeezenet1_1", weights=None).state_dict(), other)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"nothing")
    for path, said in ((other, "another network"), (broken, "cannot read"), (tmp_path / "none.pth", "no weights at")):
        with pytest.raises(InputError, match=said):
            Encoder(EncoderConfig("mobilenet_v2"), weights=str(path))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"features.0.0.weight": print}, path)
    with pytest.raises(InputError, match="cannot read weights"):
        Encoder(EncoderConfig("mobilenet_v2"), weights=str(path))


def test_weights_that_cannot_be_downloaded_are_answered_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(InputError, match=r"--model\.weights"):
        Encoder(EncoderConfig("mobilenet_v2"), weights="default")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "resnet5O"}, "did you mean 'resnet50'"),
        ({"name": "vit_b_16"}, "unknown encoder"),
        ({"name": "resnet18", "layer": "layer5"}, "did you mean 'layer"),
        ({"name": "convnext_tiny", "stride": 16}, "no grid of stride 16"),
        ({"name": "tiny", "stride": 16}, "stride 8"),
    ],
)
def test_what_does_not_exist_is_refused(config: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Encoder(EncoderConfig(**config))  # type: ignore[arg-type]


def test_names_are_convolutional_networks() -> None:
    names = encoder_names()
    assert {"tiny", "vgg19", "resnet101", "efficientnet_b0", "convnext_tiny"} <= set(names)
    assert not any(name.startswith("vit") for name in names)


def test_the_shared_weights_recognise_their_own_kind(mobilenet_weights: Path) -> None:
    encoder = Encoder(EncoderConfig("mobilenet_v2", stride=16), weights=str(mobilenet_weights))
    assert torch.equal(encoder.network.state_dict()["features.0.0.weight"], load_file(mobilenet_weights)["features.0.0.weight"])


@pytest.mark.parametrize(
    ("name", "stride", "first", "step"),
    [
        ("tiny", None, 4, 8),
        ("vgg11", None, 8, 16),
        ("convnext_tiny", None, 16, 32),
        ("mobilenet_v2", 16, 0.5, 16),
        ("resnet18", 8, 0.5, 8),
        ("efficientnet_b0", None, 0.5, 32),
        ("densenet121", None, 14.5, 32),
        ("squeezenet1_1", None, 15.5, 16),
        ("googlenet", None, 22.5, 32),
    ],
)
def test_the_lattice_says_where_the_locations_look(name: str, stride: int | None, first: float, step: float) -> None:
    """What a location depends on, by its gradient to the picture, lies around the place that the lattice gives."""
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(name, stride=stride)).eval()
    assert encoder.lattice == (first, step)
    left, upper, right, lower = encoder.lattice.area((2, 3), 100, (40, 10, 240, 60))  # twice as wide as the network saw it, half as high
    assert (left + (right - left) / 6, upper + (lower - upper) / 4) == pytest.approx((40 + 2 * first, 10 + first / 2))
    assert ((right - left) / 3, (lower - upper) / 2) == pytest.approx((2 * step, step / 2))
    image = torch.randn(1, 3, 512, 512, requires_grad=True)
    grid = encoder.network(image)["grid"]
    row, column = grid.shape[2] // 2, grid.shape[3] // 2 - 1
    grid[0, :, row, column].square().sum().backward()
    influence = image.grad.abs().sum((0, 1)) / image.grad.abs().sum()
    middle = (influence.sum(1) @ (torch.arange(512) + 0.5), influence.sum(0) @ (torch.arange(512) + 0.5))
    assert middle == pytest.approx((first + row * step, first + column * step), abs=step / 4)
