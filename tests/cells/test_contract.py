"""Every registered cell against the contract. A new cell inherits all of this, and owes its equations to `cells_in_numpy`."""

import copy
from pathlib import Path

import pytest
import torch
from factories import HIDDEN, PARTS, projected, random_cell, random_inputs, random_state, unroll
from numpy_cells import STEPS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from showattend.cells import RecurrentCell, cell_names, find_cell, make_cell, recording_gates, register
from showattend.cells.initialisation import SCHEMES
from showattend.errors import InputError

I = sum(PARTS)  # noqa: E741  (the literature's letter)
G = I + HIDDEN + 1
PARAMETERS = {
    "elman": HIDDEN * G,
    "lstm": 4 * HIDDEN * G,
    "peephole": 4 * HIDDEN * G + 3 * HIDDEN,
    "peephole_full": 4 * HIDDEN * G + 3 * HIDDEN**2,
    "coupled": 3 * HIDDEN * G,
    "gru": 3 * HIDDEN * G,
    "gru_reset_after": 3 * HIDDEN * G + HIDDEN,
    "nig": 3 * HIDDEN * G + 2 * HIDDEN,
    "nfg": 3 * HIDDEN * G + 2 * HIDDEN,
    "nog": 3 * HIDDEN * G + 2 * HIDDEN,
    "niaf": 4 * HIDDEN * G + 3 * HIDDEN,
    "noaf": 4 * HIDDEN * G + 3 * HIDDEN,
    "cifg": 3 * HIDDEN * G + 2 * HIDDEN,
    "np": 4 * HIDDEN * G,
    "fgr": 4 * HIDDEN * G + 3 * HIDDEN + 9 * HIDDEN**2,
    "mut1": 3 * HIDDEN * I + 2 * HIDDEN**2 + 3 * HIDDEN,
    "mut2": 3 * HIDDEN * G,
    "mut3": 3 * HIDDEN * G,
    "depth_gated": 4 * HIDDEN * G + 4 * HIDDEN * (2 * HIDDEN + 1) + HIDDEN * (HIDDEN + 3),
    "clockwork": HIDDEN * I + HIDDEN + HIDDEN**2 * 3 // 4,  # two periods
    "layer_norm_lstm": 4 * HIDDEN * G + 10 * HIDDEN,
    "mgu": 2 * HIDDEN * G,
    "min_gru": 2 * HIDDEN * (I + 1),
    "min_lstm": 3 * HIDDEN * (I + 1),
    "sru": 3 * HIDDEN * I + 4 * HIDDEN + HIDDEN * I,
    "slstm": 4 * HIDDEN * G,
    "ligru": 2 * HIDDEN * G + 2 * HIDDEN,  # the bias is the normaliser's shift
    "janet": 2 * HIDDEN * G,
}


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...], atol: float = 1e-12) -> bool:
    return all(torch.allclose(mine, theirs, atol=atol) for mine, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize("name", cell_names())
class TestContract:
    def test_it_is_the_scalar_equations_number_by_number(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs()
        start = random_state(cell)
        weights = {key: value.numpy() for key, value in cell.state_dict().items()}
        for row in range(xs.shape[1]):
            state = tuple(entry[row].numpy() for entry in start)
            for x, mine in zip(xs[:, row].numpy(), unroll(cell, xs, start), strict=True):
                state = STEPS[name](weights, x, *state)
                for entry, expected in zip(mine, state, strict=True):
                    assert entry[row].tolist() == pytest.approx(expected.tolist(), abs=1e-10)

    def test_the_state_has_its_names_and_shapes_and_begins_with_the_output(self, name: str) -> None:
        cell = random_cell(name)
        state = random_state(cell)
        after = cell.step(projected(cell, random_inputs(1)[0]), state)
        assert cell.state_names[0] == ("h" if isinstance(cell, RecurrentCell) else "h2")
        assert len(state) == len(after) == len(cell.state_names)
        assert all(one.shape == other.shape and one.dtype == other.dtype for one, other in zip(state, after, strict=True))
        assert after[0].shape == (random_inputs().shape[1], HIDDEN)

    def test_projection_is_linear_and_adds_up_over_the_parts(self, name: str) -> None:
        cell = random_cell(name)
        one, other = random_inputs(2)
        bias = projected(cell, torch.zeros_like(one))
        assert torch.allclose(projected(cell, one) + projected(cell, other) - bias, projected(cell, one + other))
        alone = [projected(cell, torch.cat((one[:, : PARTS[0]], torch.zeros_like(one[:, PARTS[0] :])), -1))]
        alone.append(projected(cell, torch.cat((torch.zeros_like(one[:, : PARTS[0]]), one[:, PARTS[0] :]), -1)))
        assert torch.allclose(alone[0] + alone[1] - bias, projected(cell, one))

    def test_rows_do_not_hear_each_other(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs()
        state = random_state(cell)
        together = unroll(cell, xs, state)[-1]
        alone = unroll(cell, xs[:, 1:2], tuple(entry[1:2] for entry in state))[-1]
        assert same(tuple(entry[1:2] for entry in together), alone)

    def test_beams_can_change_places(self, name: str) -> None:
        """Reordering the rows of a state is all that a search does to it."""
        cell, x = random_cell(name), random_inputs(1)[0]
        state, order = random_state(cell), torch.tensor([2, 0, 0])
        moved = cell.step(projected(cell, x[order]), tuple(entry[order] for entry in state))
        assert same(moved, tuple(entry[order] for entry in cell.step(projected(cell, x), state)))

    def test_gradients_are_right(self, name: str) -> None:
        cell = random_cell(name)
        gates = projected(cell, random_inputs(1)[0]).detach().requires_grad_()
        state = tuple(entry.requires_grad_(entry.is_floating_point()) for entry in random_state(cell))
        parameters = dict(cell.named_parameters())

        def step(gates: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            weights = dict(zip(parameters, rest[len(state) :], strict=True))
            after = torch.func.functional_call(
                _Step(cell), {f"cell.{key}": value for key, value in weights.items()}, (gates, rest[: len(state)])
            )
            return tuple(entry for entry in after if entry.is_floating_point())

        assert torch.autograd.gradcheck(step, (gates, *state, *parameters.values()))

    def test_every_parameter_learns(self, name: str) -> None:
        """Nothing dead: after two steps every tensor has had a gradient."""
        cell = random_cell(name)
        sum((entry**2).sum() for entry in unroll(cell, random_inputs(3), random_state(cell))[-1] if entry.is_floating_point()).backward()
        assert [key for key, value in cell.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0] == []

    def test_the_parameters_count_as_the_literature_counts(self, name: str) -> None:
        assert sum(p.numel() for p in random_cell(name).parameters()) == PARAMETERS[name]

    def test_it_compiles_to_one_graph_without_a_break(self, name: str) -> None:
        cell = random_cell(name)
        x, state = projected(cell, random_inputs(1)[0]).detach(), random_state(cell)
        compiled = torch.compile(cell.step, backend="aot_eager", fullgraph=True)
        assert same(compiled(x, state), cell.step(x, state))
        explained = torch._dynamo.explain(cell.step)(x, state)
        assert (explained.graph_count, explained.graph_break_count) == (1, 0)

    def test_it_can_be_exported(self, name: str) -> None:
        cell = random_cell(name).eval()
        x, state = projected(cell, random_inputs(1)[0]).detach(), random_state(cell)
        rows = torch.export.Dim("rows", min=2, max=64)
        program = torch.export.export(_Step(cell), (x, state), dynamic_shapes=({0: rows}, tuple({0: rows} for _ in state)))
        more = tuple(torch.cat((entry, entry)) for entry in state)
        assert same(program.module()(torch.cat((x, x)), more), cell.step(torch.cat((x, x)), more))

    def test_saving_and_loading_loses_nothing(self, name: str, tmp_path: Path) -> None:
        cell, other = random_cell(name), random_cell(name)
        save_file(cell.state_dict(), tmp_path / "cell.safetensors")
        other.load_state_dict(load_file(tmp_path / "cell.safetensors"))
        state = random_state(cell)
        xs = random_inputs(3)
        assert same(unroll(cell, xs, state)[-1], unroll(other, xs, state)[-1], atol=0)

    def test_bfloat16_is_near(self, name: str) -> None:
        cell, x = random_cell(name), random_inputs(1)[0]
        state = random_state(cell)
        small = copy.deepcopy(cell).bfloat16()
        rounded = tuple(entry.bfloat16() if entry.is_floating_point() else entry for entry in state)
        after = small.step(projected(small, x.bfloat16()), rounded)
        assert all(one.dtype == other.dtype for one, other in zip(after, rounded, strict=True))
        assert same(
            tuple(entry.double() for entry in after), tuple(entry.double() for entry in cell.step(projected(cell, x), state)), atol=0.1
        )

    def test_training_differs_from_use_only_where_it_should(self, name: str) -> None:
        cell, x = random_cell(name), random_inputs(1)[0]
        state = random_state(cell)
        used = cell.eval().step(projected(cell, x), state)
        trained = cell.train().step(projected(cell, x), state)
        assert same(used, trained) is (name != "ligru")  # batch normalisation

    def test_whoever_watches_sees_gates_and_changes_nothing(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs(3)
        state = random_state(cell)
        unseen = unroll(cell, xs, state)[-1]
        with recording_gates(cell) as seen:
            assert same(unroll(cell, xs, state)[-1], unseen, atol=0)
        for layer in seen:
            assert len(layer) == (0 if name == "elman" else 3)
            assert all(value.shape == (3, HIDDEN) and (value >= 0).all() for gates in layer for value in gates.values())
        cell.step(projected(cell, xs[0]), state)
        assert all(len(layer) in (0, 3) for layer in seen)

    def test_an_unknown_option_is_answered_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(
            InputError, match=rf"unknown option of the cell '{name}' 'initialization': did you mean 'initialisation'\? known"
        ):
            make_cell(name, PARTS, HIDDEN, layers=2, options={"initialization": "torch"})

    @pytest.mark.parametrize("layers", [2, 3])
    def test_layers_are_the_cell_repeated(self, name: str, layers: int) -> None:
        stack = random_cell(name, layers=layers)
        state = random_state(stack)
        x = random_inputs(1)[0]
        after = stack.step(projected(stack, x), state)
        size = len(state) // layers
        heard, below = projected(stack, x), ()
        for depth, layer in enumerate(stack.layers):
            place = slice((layers - 1 - depth) * size, (layers - depth) * size)
            if below:
                heard = layer.project_lower_layer(below[0], below)
            below = layer.step(heard, state[place])
            assert same(after[place], below)

    def test_it_says_what_it_is_and_where_it_comes_from(self, name: str) -> None:
        cell = find_cell(name)
        assert cell.equation
        assert cell.source
        assert cell.source.split()[0].rstrip(";") in (cell.__doc__ or "")
        assert "=" in (cell.__doc__ or "")


class _Step(nn.Module):
    """A cell's step as the forward of a module, which is what export and functional calls want."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.cell.step(gates, state)


def blocks(weight: Tensor) -> tuple[Tensor, ...]:
    return weight.split(HIDDEN)


@pytest.mark.parametrize("name", cell_names())
class TestInitialisation:
    def test_default_is_orthogonal_and_remembers(self, name: str) -> None:
        cell = find_cell(name)(PARTS, HIDDEN, **({"periods": (1, 2)} if name == "clockwork" else {}))
        for key, value in cell.named_parameters():
            if value.dim() == 2 and key != "weight_ih":
                for block in blocks(value):
                    assert torch.allclose(block @ block.t(), torch.eye(len(block)), atol=1e-5), key
        gates = cell.gates if cell.biased is None else cell.biased
        for gate, block in zip(gates, cell.bias.chunk(len(gates)), strict=True):
            kept = cell.forget_bias is not None and gate == cell.forget_bias[0]
            assert torch.equal(block, torch.full((HIDDEN,), float(cell.forget_bias[1]) if kept and cell.forget_bias else 0.0)), gate

    def test_a_bias_towards_remembering_makes_it_remember(self, name: str) -> None:
        """The sign is right: driven far that way, the memory stays as it was."""
        if find_cell(name).forget_bias is None:
            pytest.skip("no gate keeps its memory")
        cell = random_cell(name, layers=1) if name != "depth_gated" else random_cell("lstm")
        gates = cell.gates if cell.biased is None else cell.biased
        gate, sign = cell.forget_bias
        with torch.no_grad():
            cell.bias.zero_().chunk(len(gates))[gates.index(gate)].fill_(60.0 * sign)
            if "i" in gates and gate == "f":
                cell.bias.chunk(len(gates))[gates.index("i")].fill_(-60.0)
            if name == "nig":  # it writes in any case: let it write nothing
                for weight in (cell.weight_ih, cell.weight_hh):
                    weight.chunk(3)[1].zero_()
        before = random_state(cell)
        after = cell.step(projected(cell, random_inputs(1)[0]), before)
        memory = 1 if "c" in cell.state_names else 0
        if name == "slstm":
            ratios = [state[1] / state[2] for state in (before, after)]
            assert torch.allclose(*ratios, atol=1e-8)
        else:
            assert torch.allclose(after[memory], before[memory], atol=1e-8)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_every_scheme_fills_every_tensor(self, name: str, scheme: str) -> None:
        options = {"initialisation": scheme, **({"periods": (1, 2)} if name == "clockwork" else {})}
        with torch.random.fork_rng():
            cells = [make_cell(name, PARTS, HIDDEN, layers=2, options=options) for _ in range(2)]
        for cell in cells:
            assert all(value.isfinite().all() and value.abs().max() < 5 for value in cell.parameters())
        assert not torch.equal(cells[0].layers[0].weight_ih, cells[1].layers[0].weight_ih)


def test_chrono_draws_memories_from_one_word_to_max_time() -> None:
    cell = make_cell("lstm", PARTS, 4000, options={"initialisation": "chrono", "max_time": 12})
    i, f, g, o = cell.bias.chunk(4)
    assert torch.equal(i, -f)
    assert f.exp().min().item() == pytest.approx(1, abs=0.05)
    assert f.exp().max().item() == pytest.approx(11, abs=0.05)
    assert f.exp().mean().item() == pytest.approx(6, abs=0.2)
    assert not g.any()
    assert not o.any()
    assert (make_cell("gru", PARTS, 50, options={"initialisation": "chrono"}).bias.chunk(3)[0] < 0).all()


def test_xu2015_draws_small_weights_and_no_biases() -> None:
    cell = make_cell("lstm", (200, 200), 100, options={"initialisation": "xu2015"})
    assert cell.weight_ih.std().item() == pytest.approx(0.01, rel=0.05)
    assert not cell.bias.any()


def test_torch_s_scheme_stays_in_torch_s_bounds() -> None:
    cell = make_cell("layer_norm_lstm", PARTS, 100, options={"initialisation": "torch"})
    for key, value in cell.named_parameters():
        if key.startswith("gain"):
            assert torch.equal(value, torch.ones_like(value))
        else:
            assert value.abs().max() <= 0.1
            assert value.std() > 0.04


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm", {"initialisation": "torhc"}, "unknown initialisation 'torhc': did you mean 'torch'"),
        ("lstm", {"initialisation": "chrono", "max_time": 2}, "max_time is 2"),
        ("clockwork", {"periods": (1, 2, 4)}, "hidden size of 4 cannot be shared by 3 periods: give 3"),
        ("clockwork", {"periods": (4, 2)}, "the smallest first"),
        ("peephole", {"peepholes": ["g"]}, "unknown peephole 'g'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_cell(name, PARTS, 4, options=options)


def test_depth_gated_alone_is_refused() -> None:
    with pytest.raises(InputError, match="give at least 2"):
        make_cell("depth_gated", PARTS, HIDDEN)


def test_an_unknown_cell_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match="unknown cell 'lstmm': did you mean 'lstm'"):
        find_cell("lstmm")


def test_a_dotted_path_leads_to_a_cell_of_one_s_own() -> None:
    assert find_cell("showattend.cells.lstm:LSTM") is find_cell("lstm")


@pytest.mark.parametrize("path", ["no_such_module:Cell", "showattend.cells:Nothing", "torch.nn:LSTMCell"])
def test_a_dotted_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=path.replace(".", r"\.")):
        find_cell(path)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="taken"):
        register("lstm")(find_cell("gru"))
