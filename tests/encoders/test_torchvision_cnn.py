"""torchvision's networks as encoders. They are built with random weights: what counts here are their grids."""

from pathlib import Path

import pytest
import torch
from factories import random_photos
from safetensors.torch import load_file, save_file
from torchvision.models import get_model

from showattend.encoders import Encoder, EncoderConfig, encoder_names, make_encoder, rebuild_encoder
from showattend.errors import InputError


def encoder(name: str, **options: object) -> Encoder:
    return make_encoder(EncoderConfig(name, **{"weights": "none", **options})).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "stride", "grid_shape", "channels", "first"),
    [
        ("tiny", None, (28, 28), 128, 4),
        ("vgg11", None, (14, 14), 512, 8),
        ("resnet18", None, (7, 7), 512, 0.5),
        ("resnet18", 16, (14, 14), 512, 0.5),
        ("resnet18", 8, (28, 28), 512, 0.5),
        ("mobilenet_v2", None, (7, 7), 1280, 0.5),
        ("mobilenet_v2", 16, (14, 14), 1280, 0.5),
        ("efficientnet_b0", None, (7, 7), 1280, 0.5),
        ("efficientnet_b0", 16, (14, 14), 1280, 0.5),
        ("convnext_tiny", None, (7, 7), 768, 16),
        ("densenet121", None, (7, 7), 1024, 14.5),
        ("squeezenet1_1", None, (13, 13), 512, 15.5),
        ("googlenet", None, (7, 7), 1024, 22.5),
    ],
)
def test_the_grid_of_an_encoder_has_the_expected_shape_and_geometry(
    name: str, stride: int | None, grid_shape: tuple[int, int], channels: int, first: float
) -> None:
    network = encoder(name, stride=stride)
    with torch.inference_mode():
        output = network(random_photos(1))
    assert output.grid_shape == grid_shape
    assert output.features.shape == (1, grid_shape[0] * grid_shape[1], channels)
    assert network.channels == channels
    assert network.grid_geometry == (first, stride or round(224 / grid_shape[0] / 8) * 8)


@pytest.mark.slow
def test_the_paper_s_grid_is_conv5_4_of_vgg19() -> None:
    network = encoder("vgg19")
    with torch.inference_mode():
        features, grid_shape = network(random_photos(1))
    assert (features.shape, grid_shape) == ((1, 196, 512), (14, 14))
    assert len([m for m in network.network.modules() if isinstance(m, torch.nn.Conv2d)]) == 16


@pytest.mark.parametrize(
    ("name", "stride"), [("mobilenet_v3_small", None), ("inception_v3", None), ("shufflenet_v2_x0_5", None), ("resnet18", 8)]
)
def test_networks_with_further_operations_are_rebuilt_equal(name: str, stride: int | None) -> None:
    check_rebuilt(encoder(name, stride=stride))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in encoder_names() if name not in ("tiny", "timm/NAME") and "128gf" not in name])
def test_every_registered_network_is_rebuilt_equal(name: str) -> None:
    check_rebuilt(encoder(name))


def check_rebuilt(network: Encoder) -> None:
    again, photos = rebuild_encoder(network.config, network.spec(), network.state_dict()).eval(), random_photos(1, 96)
    with torch.inference_mode():
        assert torch.equal(again(photos).features, network(photos).features)


def test_features_are_torchvision_s_own_features_of_the_normalised_photo() -> None:
    network = get_model("mobilenet_v2", weights=None).eval()
    mobilenet = encoder("mobilenet_v2")
    mobilenet.network.load_state_dict({k: v for k, v in network.state_dict().items() if k in mobilenet.network.state_dict()})
    photos = random_photos()
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        expected = network.features((photos / 255 - mean) / std)
        features, _ = mobilenet(photos)
    assert torch.allclose(features, expected.flatten(2).transpose(1, 2), atol=1e-4)


def test_dilation_keeps_the_features_of_the_undilated_network_at_every_other_location() -> None:
    """Away from the border, removing a stride adds locations and changes none (Yu & Koltun 2016)."""
    coarse, fine = encoder("resnet18"), encoder("resnet18", stride=16)
    fine.load_state_dict(coarse.state_dict())
    photos = random_photos(1, 512)
    with torch.inference_mode():
        few, _ = coarse(photos)
        many, _ = fine(photos)
    few, many = few.unflatten(1, (16, 16)), many.unflatten(1, (32, 32))
    assert torch.allclose(many[:, ::2, ::2][:, 4:-4, 4:-4], few[:, 4:-4, 4:-4], atol=1e-3)


def test_a_layer_is_chosen_by_its_name() -> None:
    with torch.inference_mode():
        features, grid_shape = encoder("mobilenet_v2", layer="features.13")(random_photos(1))
    assert (features.shape[2], grid_shape) == (96, (14, 14))


def test_building_the_graph_keeps_the_modes_of_the_network() -> None:
    efficientnet = make_encoder(EncoderConfig("efficientnet_b0", "none"))
    assert all(module.training for module in efficientnet.modules())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_of_the_whole_network(suffix: str, tmp_path: Path) -> None:
    network = get_model("mobilenet_v2", weights=None)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(network.state_dict(), path)
    for name, tensor in encoder("mobilenet_v2", weights=str(path)).network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(get_model("squeezenet1_1", weights=None).state_dict(), other)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"nothing")
    for path, message in ((other, "another network"), (broken, "cannot read"), (tmp_path / "none.pth", "no weights at")):
        with pytest.raises(InputError, match=message):
            encoder("mobilenet_v2", weights=str(path))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"features.0.0.weight": print}, path)
    with pytest.raises(InputError, match="cannot read weights"):
        encoder("mobilenet_v2", weights=str(path))


def test_a_failed_download_names_the_option_for_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(InputError, match=r"--model\.encoder\.weights PATH"):
        encoder("mobilenet_v2", weights="default")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "resnet5O"}, "did you mean 'resnet50'"),
        ({"name": "vit_b_16"}, "unknown encoder"),
        ({"name": "other/resnet50"}, "unknown encoder"),
        ({"name": "resnet18", "layer": "layer5"}, "did you mean 'layer"),
        ({"name": "convnext_tiny", "stride": 16}, "no grid of stride 16"),
        ({"name": "tiny", "stride": 16}, "stride 8"),
        ({"name": "tiny", "weights": "default"}, "no weights for the tiny encoder"),
    ],
)
def test_what_does_not_exist_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoder(**config)  # type: ignore[arg-type]


def test_names_are_convolutional_networks() -> None:
    names = encoder_names()
    assert {"tiny", "vgg19", "resnet101", "efficientnet_b0", "convnext_tiny"} <= set(names)
    assert not any(name.startswith("vit") for name in names)


def test_the_shared_weights_are_loaded(mobilenet_weights: Path) -> None:
    mobilenet = encoder("mobilenet_v2", stride=16, weights=str(mobilenet_weights))
    assert torch.equal(mobilenet.network.state_dict()["features.0.0.weight"], load_file(mobilenet_weights)["features.0.0.weight"])
