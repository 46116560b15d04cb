"""Files of pretrained weights: the wrappers that training programs put around a state dict, and what is no state dict."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from showattend.encoders.weights_file import load_weights
from showattend.errors import InputError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda state: state, ""),
        (lambda state: {"state_dict": state, "epoch": 1}, ""),
        (lambda state: {"model": state}, ""),
        (lambda state: {"epoch": 3, "model": {"state_dict": state}}, "module."),
        (lambda state: state, "module."),
        (lambda state: {"state_dict": {**state, "head.weight": torch.ones(2)}}, "model.backbone."),
        (lambda state: {**state, "0.weight": torch.ones(1)}, "_orig_mod."),
        (lambda state: {name: value.half() for name, value in state.items()}, ""),
        (lambda state: {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}, ""),
    ],
)
def test_weights_are_found_in_the_usual_wrappers(wrap, prefix: str, tmp_path: Path) -> None:  # noqa: ANN001
    saved, loaded = network(), network()
    torch.save(wrap({prefix + name: value for name, value in saved.state_dict().items()}), tmp_path / "w.pth")
    load_weights(loaded, tmp_path / "w.pth")
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, saved.state_dict()[name], rtol=1e-3, atol=1e-3)


def test_names_in_safetensors_may_have_a_prefix_too(tmp_path: Path) -> None:
    saved, loaded = network(), network()
    save_file({f"module.{name}": value for name, value in saved.state_dict().items()}, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    assert torch.equal(loaded[0].weight, saved[0].weight)


@pytest.mark.parametrize("content", [[1], {"epoch": 1}, {"state_dict": {}}, {"args": Path("x")}, {"0.weight": print}])
def test_a_file_without_a_state_dict_is_refused_in_one_line(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"save the network's state_dict\(\) alone") as refused:
        load_weights(network(), tmp_path / "w.pth")
    assert "\n" not in str(refused.value)


def test_weights_of_another_network_are_refused_with_the_first_name_that_differs(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({name: value for name, value in state.items() if name != "1.running_mean"}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"has no '1.running_mean': these are the weights of another network"):
        load_weights(network(), tmp_path / "w.pth")
    torch.save({**state, "2.bias": torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"'2.bias' in .* has the shape \(3,\), the network needs \(2,\)"):
        load_weights(network(), tmp_path / "w.pth")
