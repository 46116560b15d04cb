"""Whether a stranger's decoder is the model of ours, and the copy of its weights.

A twin of it with five different sizes tells what each of its layers is, because no two kinds of layers have equal shapes there. What shapes
leave open (which half of the cell's input is the context, which layer begins c, whether the first state goes through tanh, whether the
attention has ReLU where the paper has tanh) is found by trying: one of the variants gives the twin's loss, or it is another model.
"""

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from bench_peers_stranger import Sizes, build, loss_of
from torch import Tensor, nn

from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import START

TWIN = Sizes(5, 7, 11, 13, 23)


class Variant(NamedTuple):
    """What shapes do not tell.

    context_first: the cell's input is the context and then the embedding
    c_first: of the two layers that begin the state, c's comes first
    unbounded_start: the first state goes through no tanh
    with_tanh: ReLU of the stranger's attention has to be tanh, as in the paper, for equal results
    """

    context_first: bool
    c_first: bool
    unbounded_start: bool
    with_tanh: bool


VARIANTS = [Variant(*choice) for choice in itertools.product((False, True), repeat=4)]


class UnboundedStart(Decoder):
    """Our decoder with a first state that is linear in the mean feature."""

    def project_features_and_init_state(self, encoder_features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As the decoder's, without tanh."""
        features, _ = super().project_features_and_init_state(encoder_features)
        return features, self.cell.initial_state(*self.init_proj(features.mean(1)).chunk(2, -1))


def our_loss(decoder: Decoder, features: Tensor, token_ids: Tensor) -> Tensor:
    """The same by ours, for captions (N,G,T+1) of maps (N,L,D)."""
    input_ids, target_ids, mask = teacher_forcing_split(token_ids)
    output = decoder(features, input_ids)
    return caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask))


def find_layers(decoder: nn.Module, sizes: Sizes) -> dict[str, list[str]]:
    """The names of a stranger's layers by what they are, from their shapes; `others` are those with weights of other shapes."""
    D, H, A, E, V = sizes
    kinds = {(A, D): "key", (A, H): "query", (1, A): "energy", (H, D): "start", (1, H): "beta", (D, H): "beta"}
    kinds |= {(E, H): "output_proj_h", (E, D): "output_proj_context", (V, E): "output", (V, H): "output"}
    found: dict[str, list[str]] = {}
    for name, module in decoder.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        shape = tuple(getattr(module, "weight", torch.empty(0)).shape)
        kind = kinds.get(shape, "others") if isinstance(module, nn.Linear) else "others"
        if isinstance(module, nn.Embedding) and shape == (V, E):
            kind = "embedding"
        elif isinstance(module, nn.LSTMCell | nn.LSTM) and _cell_weights(module)[0].shape == (4 * H, E + D):
            kind = "cell"
        found.setdefault(kind, []).append(name)
    return found


def _cell_weights(cell: nn.Module) -> tuple[Tensor, ...]:
    """W, U and bias of an LSTM of torch."""
    end = "_l0" if isinstance(cell, nn.LSTM) else ""
    w, u, *biases = (getattr(cell, f"{name}{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return w, u, sum(bias if bias is not None else torch.zeros(len(w)) for bias in biases)


def make_ours(stranger: nn.Module, layers: Mapping[str, list[str]], sizes: Sizes, variant: Variant) -> Decoder:
    """Our decoder with the weights of a stranger's."""
    get = {kind: [stranger.get_submodule(name) for name in names] for kind, names in layers.items()}
    gate = {0: "none", 1: "scalar"}.get(len(get["beta"][0].weight) if "beta" in get else 0, "vector")
    config = DecoderConfig(
        embedding_size=sizes.E,
        hidden_size=sizes.H,
        attention_size=sizes.A,
        gate=gate,
        deep_output="output_proj_h" in get,
        dropout=0.0,
    )
    ours = (UnboundedStart if variant.unbounded_start else Decoder)(config, vocabulary_size=sizes.V, encoder_dim=sizes.D)
    attention = ours.attention
    pairs: list[tuple[Any, str]] = [(ours.embedding, "embedding"), (attention.query, "query"), (attention.energy, "energy")]
    pairs += [(ours.output, "output"), *([(ours.beta, "beta")] if ours.beta else [])]
    if config.deep_output:
        pairs += [(ours.output_proj_h, "output_proj_h"), (ours.output_proj_context, "output_proj_context")]
    with torch.no_grad():
        for layer, kind in pairs:
            _copy(layer, get[kind][0].weight, getattr(get[kind][0], "bias", None))
        # The query's bias is added to the key; the energy's changes no softmax.
        _copy(attention.key, get["key"][0].weight, _bias(get["key"][0]) + _bias(get["query"][0]))
        start = get["start"][::-1] if variant.c_first else get["start"]
        _copy(ours.init_proj, torch.cat([layer.weight for layer in start]), torch.cat([_bias(layer) for layer in start]))
        w, u, bias = _cell_weights(get["cell"][0])
        ours.cell.weight_ih.copy_(w.roll(sizes.E, 1) if variant.context_first else w)
        ours.cell.weight_hh.copy_(u)
        ours.cell.bias.copy_(bias)
    return ours


def _bias(layer: nn.Module) -> Tensor:
    bias, weight = getattr(layer, "bias", None), layer.weight
    return bias if isinstance(bias, Tensor) else torch.zeros(len(weight))  # type: ignore[arg-type]


def _copy(layer: Any, weight: Tensor, bias: Tensor | None) -> None:
    layer.weight.copy_(weight)
    if getattr(layer, "bias", None) is not None:
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)


def with_tanh(decoder: nn.Module) -> nn.Module:
    """A copy whose modules of ReLU are tanh; times are those of the stranger as he is."""
    twin = copy.deepcopy(decoder)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
    return twin


class Match(NamedTuple):
    """How a stranger's decoder and ours are one model.

    layers: see `find_layers`
    variant: None: they are not
    reason: why they are not
    """

    layers: dict[str, list[str]]
    variant: Variant | None
    reason: str = ""


def match(decoder: Callable[..., nn.Module], given: Mapping[str, Any], tolerance: float = 1e-4) -> Match:
    """Find out by a small twin whether a stranger's decoder is the model of ours, and which layer is which."""
    twin = build(decoder, TWIN, given).eval()
    layers = find_layers(twin, TWIN)
    singles = ("embedding", "key", "query", "energy", "cell", "output")
    strange = [*layers.get("others", []), *(kind for kind in singles if len(layers.get(kind, [])) != 1)]
    if strange or len(layers.get("start", [])) != 2:
        return Match(layers, None, f"another model: {', '.join(strange) or 'the first state'}")
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.uniform_(-1, 1)
    features, token_ids = torch.rand(3, 6, TWIN.D), torch.randint(4, TWIN.V, (3, 2, 9))
    token_ids[..., 0] = START
    rows, captions = features.repeat_interleave(2, 0), token_ids.flatten(0, 1)
    with torch.no_grad():
        losses = {tanh: float(loss_of(with_tanh(twin) if tanh else twin, rows, captions)) for tanh in (False, True)}
        differences = {
            variant: abs(float(our_loss(make_ours(twin, layers, TWIN, variant), features, token_ids)) - losses[variant.with_tanh])
            for variant in VARIANTS
        }
    best = min(differences, key=lambda variant: (differences[variant] > tolerance, variant))
    if differences[best] > tolerance:
        return Match(layers, None, f"another model: the losses of small twins differ by {min(differences.values()):.2g}")
    return Match(layers, best)
