"""The graph of a saved encoder is data: what is not listed is refused, and nothing of it is ever executed as code."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace

from showattend.encoders import Encoder, EncoderConfig, make_encoder
from showattend.encoders.graph import read_spec
from showattend.encoders.graph_encoder import GraphEncoder
from showattend.encoders.graph_network import MAX_COMPUTED, MAX_HELD, GraphNetwork, fold_batchnorm
from showattend.encoders.graph_packing import pack_graph
from showattend.encoders.graph_schema import FUNCTIONS
from showattend.encoders.graph_spec import to_graph
from showattend.errors import InputError

MUTATIONS = 600
# Values that replace others: source code, names with meaning to Python, sizes without end.
VALUES: list[Any] = [
    "__import__('os').system('touch x')",
    "x=__import__('os')",
    "*[open('x')] and [], inplace",
    "__class__",
    "forward",
    "eval",
    "",
    "a b",
    "x\nimport os",
    "é",
    "\ud800",
    None,
    True,
    -1,
    0,
    1,
    7,
    65536,
    10**6,
    10**30,
    float("nan"),
    float("inf"),
    1.5,
    [],
    [[]],
    {},
    {"slice": [0, 1, 0]},
    {"slice": [None, None, None]},
    {"__class__": 1},
]
GOOD: dict[str, Any] = {
    "input": "x",
    "output": "y",
    "channels": 3,
    "parts": {"a": ["ReLU", {}]},
    "calls": [["y", "call_module", "a", ["x"], {}]],
}


def traced(*parts: nn.Module) -> GraphModule:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Sequential(*parts)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"grid": self.parts(x)}

    return symbolic_trace(Network())


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


@pytest.mark.parametrize("unlisted", [nn.Softplus(), Sine()])
def test_a_network_with_unlisted_operations_has_no_graph(unlisted: nn.Module) -> None:
    assert to_graph(traced(nn.Conv2d(3, 4, 3), nn.ReLU()), 4)
    with pytest.raises(InputError, match="does not list"):
        to_graph(traced(nn.Conv2d(3, 4, 3), unlisted), 4)


def call(kind: str, target: str, *args: object, **kwargs: object) -> dict[str, Any]:
    return {"calls": [["y", kind, target, list(args), kwargs]]}


@pytest.mark.parametrize(
    "change",
    [
        call("call_function", "eval", "x"),
        call("call_function", "relu", "z"),
        call("call_function", "relu", "x", False, 3),
        call("call_function", "relu", "x", inplace="x"),
        call("call_function", "relu", "x", **{"*[print()] and [], inplace": False}),
        call("call_function", "relu"),
        call("call_function", "relu", "x", input="x"),
        call("call_function", "cat", ["x"] * 257),
        call("call_function", "getitem", "x", {"slice": ["x", 0, 0]}),
        call("call_method", "__reduce__", "x"),
        call("call_method", "numpy", "x"),
        call("call_module", "elsewhere", "x"),
        call("call_module", "a.forward", "x"),
        call("get_attr", "a"),
        call("placeholder", "a"),
        {"calls": [["y", "call_module", "a", ["x"]]]},
        {"calls": [["x", "call_module", "a", ["x"], {}]]},
        {"calls": []},
        {"calls": [["y", "call_module", "a", ["x"], {}]] * 10_001},
        {"input": "x=print()"},
        {"input": 3},
        {"output": "z"},
        {"channels": 0},
        {"more": 1},
        {"parts": {"a": ["Module", {}]}},
        {"parts": {"a": ["ReLU", {"inplace": 1}]}},
        {"parts": {"a": ["ReLU", {"device": "cuda"}]}},
        {"parts": {"a": ["Conv2d", {"in_channels": 10**9, "out_channels": 1, "kernel_size": 1}]}},
        {"parts": {"a": ["Parameter", {"shape": [10**9]}]}},
        *({"parts": {path: ["ReLU", {}], "a": ["ReLU", {}]}} for path in ("", ".", "a.", "__class__", "a b", 'a", None) or print("')),
    ],
)
def test_what_is_not_listed_is_refused(change: dict[str, Any]) -> None:
    read_spec(GOOD)
    with pytest.raises(InputError, match="the encoder's graph is not valid") as caught:
        read_spec({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": ["ReLU", {}], "a.b": ["ReLU", {}]}, "inside another part"),
        ({"a": ["ReLU", {}], "forward": ["ReLU", {}]}, "is taken"),
        ({"a": ["ReLU", {}], "training.b": ["ReLU", {}]}, "is taken"),
        ({"a": ["ReLU", {}], "b": ["Parameter", {"shape": [3]}]}, "only in one of the two"),
        ({"a": ["ReLU", {}], "b": ["Conv2d", {"in_channels": 3}]}, "b: "),
        ({"a": ["ReLU", {}], "b": ["Conv2d", {"in_channels": 3, "out_channels": 3, "kernel_size": 1, "groups": 2}]}, "b: "),
    ],
)
def test_parts_that_cannot_be_built_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GraphNetwork(read_spec({**GOOD, "parts": parts}), {})


def test_shapes_of_the_weights_must_be_those_of_the_graph() -> None:
    graph = read_spec({**GOOD, "parts": {"a": ["Conv2d", {"in_channels": 3, "out_channels": 3, "kernel_size": 1}]}})
    weights = {"a.weight": torch.ones(3, 3, 1, 1), "a.bias": torch.zeros(3)}
    assert torch.equal(GraphNetwork(graph, weights)(torch.ones(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 3.0))
    for wrong in ({"a.bias": torch.zeros(4)}, {"b": torch.zeros(1)}):
        with pytest.raises(InputError, match="does not fit its weights"):
            GraphNetwork(graph, {**weights, **wrong})


@pytest.mark.parametrize(
    "calls",
    [
        # Doubled channels, 20 times over.
        [[f"y{i + 1}", "call_function", "cat", [[f"y{i}", f"y{i}"], 1], {}] for i in range(20)],
        # (N,3,S,S,1) times (N,3,1,S*S): a square of the image's size.
        [
            ["y1", "call_method", "view", ["y0", 1, -1, 1], {}],
            ["y2", "call_method", "view", ["y0", 1, 1, -1], {}],
            ["y20", "call_function", "mul", ["y1", "y2"], {}],
        ],
        # Tuples are not repeated.
        [["y1", "call_method", "size", ["y0"], {}], ["y20", "call_function", "mul", ["y1", 1000000], {}]],
        [["y20", "call_function", "unsqueeze", ["y0", 7], {}]],
        [["y20", "call_method", "size", ["y0"], {}]],
        [["y20", "call_method", "view", ["y0", 65536, 65536], {}]],
    ],
)
def test_a_graph_that_fails_or_fills_the_memory_is_stopped(calls: list[Any]) -> None:
    with pytest.raises(InputError, match="the encoder's graph"):
        GraphNetwork(read_spec({**GOOD, "input": "y0", "output": "y20", "parts": {}, "calls": calls}), {})(torch.ones(1, 3, 64, 64))


WIDE = ["Conv2d", {"in_channels": 3, "out_channels": 65_536, "kernel_size": 1, "bias": False}]


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        ({"a": WIDE}, [["y", "call_module", "a", ["x"], {}]]),
        ({"a": WIDE}, [["y", "call_module", "a", [], {"input": "x"}]]),
        ({"a": ["AdaptiveAvgPool2d", {"output_size": 64}]}, [["y", "call_module", "a", ["x"], {}]]),
        ({}, [["y", "call_function", "cat", [], {"tensors": ["x"] * 200}]]),
        (
            {},
            [
                *([f"y{i}", "call_function", "cat", [["x"] * 30], {}] for i in range(5)),
                ["y", "call_function", "cat", [[f"y{i}" for i in range(5)]], {}],
            ],
        ),
    ],
)
def test_what_would_fill_the_memory_is_refused_before_it_is_computed(
    parts: dict[str, Any], calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"a.weight": torch.ones(65_536, 3, 1, 1)} if parts.get("a") == WIDE else {}
    network = GraphNetwork(read_spec({**GOOD, "parts": parts, "calls": calls}), weights)
    for kind in (nn.Conv2d, nn.AdaptiveAvgPool2d):
        monkeypatch.setattr(kind, "forward", lambda self, input: pytest.fail("computed"))
    cat, largest = FUNCTIONS["cat"], []

    def watched(tensors: list[Tensor], dim: int = 0) -> Tensor:
        largest.append(sum(tensor.numel() for tensor in tensors))
        return torch.cat(tensors, dim)

    monkeypatch.setitem(FUNCTIONS, "cat", cat._replace(run=watched))
    with pytest.raises(InputError, match="its results are too large"):
        network(torch.ones(2, 3, 4, 4))
    assert max(largest, default=0) < MAX_HELD * 2 * 3 * 4 * 4


def test_an_outer_product_over_the_batch_is_bounded_too() -> None:
    square = [
        ["y1", "call_method", "view", ["x", 1, -1, 1], {}],
        ["y2", "call_method", "view", ["x", 1, 1, -1], {}],
        ["y3", "call_function", "mul", ["y1", "y2"], {}],
        ["y", "call_method", "view", ["y3", -1, 3, 1, 1], {}],
    ]
    network = GraphNetwork(read_spec({**GOOD, "parts": {}, "calls": square}), {})
    assert network(torch.ones(2, 3, 2, 2)).shape == (2 * 2 * 3 * 2 * 2 * 2 * 2, 3, 1, 1)
    with pytest.raises(InputError, match="its results are too large"):
        network(torch.ones(64, 3, 2, 2))


@pytest.mark.parametrize("kind", ["resnet18", "mobilenet_v2", "convnext_tiny", "inception_v3"])
def test_a_network_of_torchvision_stays_far_below_the_limits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = make_encoder(EncoderConfig(kind, "none")).eval()
    network = GraphEncoder.from_graph(encoder.config, read_spec(encoder.spec()), encoder.state_dict()).eval().to(torch.bfloat16).network
    for name, limit in (("MAX_HELD", MAX_HELD), ("MAX_COMPUTED", MAX_COMPUTED)):
        monkeypatch.setattr(f"showattend.encoders.graph_network.{name}", limit / 3)
    pixels = torch.zeros(2, 3, 96, 96, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert network(pixels).dtype == torch.bfloat16


def test_a_graph_in_eval_mode_takes_one_photo_whose_map_is_one_location() -> None:
    norm = {"parts": {"a": ["BatchNorm2d", {"num_features": 3, "momentum": None}]}}
    network = GraphNetwork(read_spec({**GOOD, **norm}), {f"a.{name}": tensor for name, tensor in nn.BatchNorm2d(3).state_dict().items()})
    assert network.eval()(torch.ones(1, 3, 1, 1)).shape == (1, 3, 1, 1)


def test_a_graph_is_exported_with_a_free_number_of_photos() -> None:
    encoder = make_encoder(EncoderConfig("squeezenet1_1", "none", layer="features.3")).eval()
    network = GraphEncoder.from_graph(encoder.config, read_spec(encoder.spec()), encoder.state_dict()).eval().network
    photos = torch.randn(5, 3, 32, 32)
    program = torch.export.export(network, (photos[:2],), dynamic_shapes=({0: torch.export.Dim("photos", min=1)},))
    assert torch.allclose(program.module()(photos), network(photos), atol=1e-5)


def test_batchnorm_is_folded_only_where_nothing_else_takes_the_convolution() -> None:
    conv = ["Conv2d", {"in_channels": 3, "out_channels": 3, "kernel_size": 1}]
    spec = {
        **GOOD,
        "output": "sum",
        "parts": {"conv": conv, "norm": ["BatchNorm2d", {"num_features": 3}]},
        "calls": [
            ["c", "call_module", "conv", ["x"], {}],
            ["n", "call_module", "norm", ["c"], {}],
            ["sum", "call_function", "add", ["n", "c"], {}],
        ],
    }
    weights = {f"conv.{name}": tensor for name, tensor in nn.Conv2d(3, 3, 1).state_dict().items()}
    weights |= {f"norm.{name}": tensor for name, tensor in nn.BatchNorm2d(3).state_dict().items()}
    weights["norm.running_var"] = torch.full((3,), 4.0)
    x = torch.randn(2, 3, 5, 5)
    shared = GraphNetwork(read_spec(spec), weights).eval()
    assert len(fold_batchnorm(shared).graph.calls) == 3
    assert torch.equal(fold_batchnorm(shared)(x), shared(x))
    chain = GraphNetwork(read_spec({**spec, "output": "n", "calls": spec["calls"][:2]}), weights).eval()
    assert len(fold_batchnorm(chain).graph.calls) == 1
    assert torch.allclose(fold_batchnorm(chain)(x), chain(x), atol=1e-6)


def test_batchnorm_that_does_not_fit_is_an_error_of_the_graph_and_not_of_folding() -> None:
    parts = {
        "conv": ["Conv2d", {"in_channels": 3, "out_channels": 4, "kernel_size": 1}],
        "norm": ["BatchNorm2d", {"num_features": 3}],
    }
    calls = [["c", "call_module", "conv", ["x"], {}], ["n", "call_module", "norm", ["c"], {}]]
    weights = {f"conv.{name}": tensor for name, tensor in nn.Conv2d(3, 4, 1).state_dict().items()}
    weights |= {f"norm.{name}": tensor for name, tensor in nn.BatchNorm2d(3).state_dict().items()}
    network = GraphNetwork(read_spec({**GOOD, "output": "n", "parts": parts, "calls": calls}), weights).eval()
    folded = pack_graph(fold_batchnorm(network), torch.bfloat16)
    with pytest.raises(InputError, match="fails at n"), torch.inference_mode():
        folded(torch.randn(2, 3, 5, 5))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All entries of nested lists and objects: the container and the key."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def mutate(spec: dict[str, Any], rng: random.Random) -> None:
    """Change one or two entries: another value, another entry's value, a renamed, removed or repeated entry."""
    for _ in range(rng.randint(1, 2)):
        entries = list(places(spec))
        container, key = rng.choice(entries)
        kind = rng.randrange(5)
        if kind == 0:
            container[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 1:
            other, other_key = rng.choice(entries)
            container[key] = copy.deepcopy(other[other_key])
        elif kind == 2:
            del container[key]
        elif isinstance(container, dict):
            container[str(rng.choice(VALUES))] = container.pop(key)
        else:
            container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))


@pytest.fixture(scope="module")
def small() -> Encoder:
    return make_encoder(EncoderConfig("shufflenet_v2_x0_5", "none", layer="stage2")).eval()


def test_mutated_graphs_give_one_line_or_a_network(small: Encoder, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes in the file, there is an error in one line or a network that runs within its limits."""
    monkeypatch.chdir(tmp_path)
    rng, weights, pixels = random.Random(0), small.state_dict(), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    source = json.dumps(small.spec())
    messages = []
    for _ in range(MUTATIONS):
        spec = json.loads(source)
        mutate(spec, rng)
        try:
            with torch.inference_mode():
                encoder = GraphEncoder.from_graph(small.config, read_spec(spec), weights).eval()
                packed = encoder.for_inference()
                output = encoder(pixels)
                assert packed(pixels).features.shape == output.features.shape
            assert output.features.shape[2] <= 65536
        except InputError as error:
            messages.append(str(error))
    assert not [message for message in messages if "\n" in message or len(message) > 600]
    assert len(messages) > MUTATIONS / 2
    assert list(tmp_path.iterdir()) == []
