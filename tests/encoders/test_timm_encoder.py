"""timm's models as encoders. They have random weights: what counts here are their grids, and where their weights come from."""

from pathlib import Path

import pytest
import timm
import torch
from factories import random_photos
from safetensors.torch import save_file
from torch import Tensor, nn

from showattend.encoders import Encoder, EncoderConfig, make_encoder, rebuild_encoder
from showattend.encoders.grid_trace import GridTrace
from showattend.errors import InputError
from showattend.pretrained.loading import empty_weights


def encoder(name: str, **options: object) -> Encoder:
    return make_encoder(EncoderConfig(f"timm/{name}", **{"weights": "none", **options})).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "cell", "size"),
    [
        ("test_vit", 16, 64),
        ("deit_tiny_distilled_patch16_224", 16, 80),
        ("swin_tiny_patch4_window7_224", 32, 224),
        pytest.param("vit_xsmall_patch16_clip_224", 16, 64, marks=pytest.mark.slow),
        pytest.param("vit_small_patch14_reg4_dinov2", 14, 70, marks=pytest.mark.slow),
    ],
)
def test_a_patch_is_exactly_what_its_location_sees_without_attention(name: str, cell: int, size: int) -> None:
    network = encoder(name)
    for path, parameter in network.network.named_parameters():
        if ".attn.proj." in path:
            nn.init.zeros_(parameter)
    image = torch.randn(1, 3, size, size, requires_grad=True)
    grid = network.feature_map(image)
    assert grid.shape[2:] == (size // cell, size // cell)
    row, column = 1, 2
    (gradient,) = torch.autograd.grad(grid[0, :, row, column].square().sum(), image)
    expected = torch.zeros(size, size, dtype=torch.bool)
    expected[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = True
    assert torch.equal(gradient[0].abs().sum(0) > 0, expected)
    assert network.geometry_at(size) == (cell / 2, cell)


@pytest.mark.parametrize("size", [256, 260])
def test_the_geometry_of_tensorflow_s_padding_follows_the_size_of_the_photos(size: int) -> None:
    network = encoder("tf_efficientnet_lite0")
    image = torch.randn(1, 3, size, size, requires_grad=True)
    first, step = network.geometry_at(size)
    middle = round((size / 2 - first) / step)  # its field is cut off on both sides alike
    (gradient,) = torch.autograd.grad(network.feature_map(image)[0, :, middle, middle].square().sum(), image)
    influence = gradient.abs().sum((0, 1)) / gradient.abs().sum()
    assert (influence.sum(0) @ (torch.arange(size) + 0.5)).item() == pytest.approx(first + middle * step, abs=step / 8)


def test_features_are_timm_s_own_of_the_normalised_photo_without_prefix_tokens() -> None:
    network = encoder("deit_tiny_distilled_patch16_224")
    own = timm.create_model("deit_tiny_distilled_patch16_224", pretrained=False, img_size=64).eval()
    state = network.network.state_dict()
    fine = nn.functional.interpolate(
        state["pos_embed"][:, 2:].transpose(1, 2).unflatten(2, (14, 14)), (4, 4), mode="bicubic", antialias=True
    )
    state["pos_embed"] = torch.cat((state["pos_embed"][:, :2], fine.flatten(2).transpose(1, 2)), 1)
    own.load_state_dict(state, strict=False)
    photos = random_photos(2, 64)
    mean, std = (torch.tensor(own.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        expected = own.forward_features((photos / 255 - mean) / std)[:, 2:]
        features, grid_shape = network(photos)
    assert grid_shape == (4, 4)
    assert torch.allclose(features, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "layer", "grid_shape", "channels"),
    [("test_vit", "blocks.2", (6, 6), 64), ("test_resnet", "layer3", (6, 6), 192), ("mobilenetv3_small_050", "blocks.3", (6, 6), 24)],
)
def test_a_stage_is_chosen_by_its_name_and_later_weights_are_left_out(
    name: str, layer: str, grid_shape: tuple[int, int], channels: int
) -> None:
    whole, part = encoder(name), encoder(name, layer=layer)
    with torch.inference_mode():
        output = part(random_photos(1, 96))
    assert output.grid_shape == grid_shape
    assert output.features.shape[2] == part.channels == channels
    assert part.grid_geometry.step == 16
    assert 0 < len(part.state_dict()) < len(whole.state_dict())


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("tf_efficientnet_lite0", ["blocks.5", "blocks.6", "last"]),
        ("test_vit", ["blocks.2", "last"]),
    ],
)
def test_maps_of_one_grid_are_joined_each_with_a_root_mean_square_of_one(name: str, layers: list[str]) -> None:
    joined, photos = encoder(name, layer="+".join(layers)), random_photos(2, 96)
    weights = joined.network.state_dict()
    with torch.inference_mode():
        features, grid_shape = joined(photos)
        for part, layer in zip(features.split([encoder(name, layer=layer).channels for layer in layers], -1), layers, strict=True):
            single = encoder(name, layer=layer)
            single.network.load_state_dict(weights, strict=False)
            expected = single(photos)
            assert expected.grid_shape == grid_shape
            rms = expected.features.square().mean(-1, keepdim=True).sqrt()
            assert torch.allclose(part, expected.features / rms, atol=1e-3)


@pytest.mark.parametrize(("layer", "step"), [("blocks.6+last", 32), ("blocks.5+blocks.6", 32), ("blocks.4", 16)])
def test_a_saved_encoder_of_other_maps_is_built_again(layer: str, step: int) -> None:
    saved, photos = encoder("tf_efficientnet_lite0", layer=layer), random_photos(1, 64)
    weights = dict(saved.state_dict())  # without the versions of torch's modules, as a file has them
    again = rebuild_encoder(saved.config, saved.spec(), weights)
    again.load_state_dict(weights)
    with torch.inference_mode():
        assert torch.equal(again.eval()(photos).features, saved(photos).features)
    assert again.grid_geometry == saved.grid_geometry
    assert again.grid_geometry.step == step


def test_no_weight_is_kept_that_the_map_does_not_depend_on() -> None:
    """MobileNetV3's last convolution comes after the pooling: it would be saved, and fine-tuned without a gradient."""
    network = encoder("mobilenetv3_small_050").set_trainable("all")
    network(random_photos(1, 64)).features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.network.parameters())


def test_a_finer_grid_comes_from_dilation() -> None:
    network = encoder("resnet10t", stride=16)
    with torch.inference_mode():
        assert network(random_photos(1, 64)).grid_shape == (4, 4)
    assert network.grid_geometry.step == 16
    assert encoder("test_vit", stride=16).grid_geometry.step == 16  # its patches


def test_weights_come_from_a_file_of_the_whole_network(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", pretrained=False).state_dict()
    save_file({name: tensor for name, tensor in state.items() if "num_batches" not in name}, tmp_path / "weights.safetensors")
    for name, tensor in encoder("test_resnet", weights=str(tmp_path / "weights.safetensors")).network.state_dict().items():
        assert torch.equal(tensor, state[name])
    with pytest.raises(InputError, match="another network"):
        encoder("test_vit", weights=str(tmp_path / "weights.safetensors"))


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_a_failed_download_names_the_option_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timm.models._builder.load_pretrained", no_network)
    with pytest.raises(InputError, match=r"no network.*--model\.encoder\.weights FILE"):
        encoder("test_resnet", weights="default")


def test_a_saved_encoder_asks_for_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    saved, config = encoder("test_vit"), EncoderConfig("timm/test_vit", "default")
    monkeypatch.setattr("timm.models._builder.load_pretrained", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    with empty_weights():
        again = rebuild_encoder(config, {}, saved.state_dict())
    again.load_state_dict(saved.state_dict(), assign=True)
    with torch.inference_mode():
        photos = random_photos(1, 64)
        assert torch.equal(again.eval()(photos).features, saved(photos).features)


@pytest.mark.parametrize("name", ["vit_gigantic_patch14_224", "resnet10t"])
def test_a_saved_encoder_that_its_weights_do_not_fit_is_refused_before_it_takes_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[Tensor] = []
    create = timm.create_model

    def watched(*args: object, **options: object) -> nn.Module:
        network: nn.Module = create(*args, **options)  # type: ignore[arg-type]
        created.extend(network.parameters())
        return network

    monkeypatch.setattr("timm.create_model", watched)
    with pytest.raises(InputError, match="are not those of"):
        rebuild_encoder(EncoderConfig(f"timm/{name}", "none"), {}, encoder("test_resnet").state_dict())
    assert {parameter.device.type for parameter in created[-5:]} == {"meta"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet1O", {}, "unknown model of timm 'resnet1O'"),
        ("resnet10t.nowhere", {}, "unknown weights of resnet10t 'nowhere'"),
        ("hf-hub:someone/resnet18", {}, "no dotted path"),
        ("local-dir:/tmp/model", {}, "no dotted path"),
        ("../resnet18", {}, "unknown model of timm"),
        ("resnet10t", {"layer": "layer5"}, "did you mean 'layer"),
        ("test_vit", {"layer": "last+last"}, "unknown timm/test_vit layer"),
        ("resnet10t", {"layer": "layer3+last"}, r"different grids \(layer3 11x11, last 6x6\)"),
        ("test_vit", {"stride": 8}, "no grid of stride 8"),
        ("resnet10t", {"stride": 5}, "no grid of stride 5"),
    ],
)
def test_what_does_not_exist_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoder(name, **options)


def test_a_size_that_patches_do_not_divide_is_refused_with_the_option() -> None:
    with pytest.raises(InputError, match=r"100 pixels.*--model\.preprocessing\.image_size"):
        encoder("test_vit")(random_photos(1, 100))


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install 'showattend\[timm\]'"):
        encoder("resnet18")


def test_a_trace_follows_padding_pooling_and_dilation_and_notes_what_is_used() -> None:
    used, unused = nn.Conv2d(3, 4, 3, stride=2, dilation=2, padding=1), nn.Conv2d(3, 4, 1)
    image = torch.zeros(1, 3, 64, 64)
    with GridTrace(image) as trace:
        grid = nn.functional.avg_pool2d(nn.functional.max_pool2d(nn.functional.pad(used(image), (2, 0, 2, 0)), 2), 3, 2, 1)
    # Centre of the convolution 0.5 + (4 / 2 - 1) = 1.5; two cells of padding before it, -2 * 2; of two pooled cells the middle, +2 / 2.
    assert trace.geometry(grid) == (-1.5, 8)
    assert id(used.weight) in trace.used
    assert id(unused.weight) not in trace.used
