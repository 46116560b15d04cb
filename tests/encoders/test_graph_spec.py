"""A network that a blueprint has built is the one that it was drawn from."""

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.fx import GraphModule, symbolic_trace

from showattend.encoders.base import TINY, Encoder, EncoderConfig, encoder_names
from showattend.encoders.graph_spec import GraphSpec, build, draw


def built(encoder: Encoder) -> Encoder:
    """An encoder from the other's blueprint, as JSON has it, and its state."""
    again = Encoder(encoder.config, blueprint=json.loads(json.dumps(encoder.blueprint())))
    assert list(again.state_dict()) == list(encoder.state_dict())  # the order too: caches of features are known by it
    again.load_state_dict(encoder.state_dict())
    return again.eval()


def check(encoder: Encoder) -> None:
    again, photos = built(encoder), torch.randint(256, (1, 3, 96, 96), dtype=torch.uint8)
    assert (again.channels, again.lattice) == (encoder.channels, encoder.lattice)
    with torch.inference_mode():
        (expected, grid), (encoder_features, found) = encoder.eval()(photos), again(photos)
    assert found == grid
    assert torch.equal(encoder_features, expected)
    assert again.blueprint() == encoder.blueprint()


# Between them they call all that the networks of torchvision call.
@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("mobilenet_v2", 16),
        ("mobilenet_v3_small", None),
        ("convnext_tiny", None),
        ("densenet121", None),
        ("inception_v3", None),
        ("shufflenet_v2_x0_5", None),
        ("efficientnet_b0", None),
        ("regnet_y_400mf", None),
    ],
)
def test_it_sees_the_same(name: str, stride: int | None) -> None:
    check(Encoder(EncoderConfig(name, stride=stride)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in encoder_names() if name != TINY and "128gf" not in name])
def test_it_sees_the_same_whichever_network_it_is(name: str) -> None:
    check(Encoder(EncoderConfig(name)))


def test_drawing_leaves_the_network_as_it_is() -> None:
    encoder = Encoder(EncoderConfig("efficientnet_b0"))
    encoder.network.features.get_submodule("0").eval()
    before = [module.training for module in encoder.modules()]
    assert encoder.blueprint()
    assert [module.training for module in encoder.modules()] == before
    assert not all(before)


def network(*parts: nn.Module) -> GraphModule:
    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Sequential(*parts)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"grid": self.parts(x)}

    return symbolic_trace(Answering())


class Wavy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


@pytest.mark.parametrize("stranger", [nn.Softplus(), Wavy()])
def test_what_has_no_name_is_not_drawn(stranger: nn.Module) -> None:
    assert draw(network(nn.Conv2d(3, 4, 3), nn.ReLU()))
    assert draw(network(nn.Conv2d(3, 4, 3), stranger)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"calls": [["y", "call_function", "eval", ["x"], {}]]},
        {"calls": [["y", "call_method", "__reduce__", ["x"], {}]]},
        {"calls": [["y", "call_module", "elsewhere", ["x"], {}]]},
        {"calls": [["y", "call_function", "relu", ["z"], {}]]},
        {"parts": {"a": ["Module", {}]}},
    ],
)
def test_a_blueprint_calls_nothing_but_what_is_listed(change: dict[str, Any]) -> None:
    good: GraphSpec = {"image": "x", "grid": "y", "parts": {"a": ["ReLU", {}]}, "calls": [["y", "call_module", "a", ["x"], {}]]}
    assert build(good)(-torch.ones(1))["grid"] == 0
    with pytest.raises(KeyError):
        build({**good, **change})
