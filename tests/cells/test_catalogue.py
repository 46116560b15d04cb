"""Descriptions, equations and parameter counts of cells."""

import pytest
from factories import HIDDEN, PARTS

from showattend.cells import RecurrentCell, cell_names, find_cell, make_cell
from showattend.cells.catalogue import count_parameters, describe_cell, equation_lines, match_hidden_sizes


class WithoutEquations(RecurrentCell):
    """A cell whose docstring has no indented block."""

    gates = ("h",)


def test_equation_lines_are_the_first_indented_block_of_the_docstring() -> None:
    assert equation_lines("janet") == ["f = s(a_f)", "h = f * h + (1 - s(a_f - 1)) * tanh(a_g)"]


def test_a_docstring_without_an_indented_block_has_no_equation_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("showattend.cells.catalogue.find_cell", lambda path: WithoutEquations)
    assert equation_lines("a_module:WithoutEquations") == []


def test_a_description_holds_what_the_class_declares() -> None:
    description = describe_cell("depth_gated", 10, 4)
    assert description["parameters"] == count_parameters("depth_gated", 10, 4)
    assert description["layers"] == 2
    assert description["state"] == ["h", "c"]
    assert set(description["parameter_roles"]) == {"w_cd", "w_ld"}
    assert description["options"] == ["initialisation", "max_time"]
    assert description["supports_fused_loop"] is True
    assert (description["input_size"], description["hidden_size"]) == (10, 4)


@pytest.mark.parametrize("name", cell_names())
def test_the_parameter_count_is_that_of_a_built_cell(name: str) -> None:
    options = {"periods": (1, 2, 4, 8)} if name == "clockwork" else {}
    cell = make_cell(name, (sum(PARTS),), HIDDEN, layers=find_cell(name).min_layers, options=options)
    assert count_parameters(name, sum(PARTS), HIDDEN) == sum(parameter.numel() for parameter in cell.parameters())


def test_the_reference_matches_itself_at_its_own_hidden_size() -> None:
    sizes = match_hidden_sizes("lstm", 12, 16)
    assert sorted(sizes) == cell_names()
    assert sizes["lstm"] == sizes["np"] == 16
    assert sizes["clockwork"] % 4 == 0
    assert sizes["elman"] > sizes["gru"] > 16


@pytest.mark.parametrize(("name", "reference_size"), [("sru", 11), ("sru", 17), ("sru", 18), ("clockwork", 12), ("gru", 16)])
def test_no_other_hidden_size_comes_nearer(name: str, reference_size: int) -> None:
    multiple = find_cell(name).hidden_size_multiple
    target = count_parameters("lstm", 24, reference_size)
    nearest = match_hidden_sizes("lstm", 24, reference_size)[name]
    distances = {size: abs(count_parameters(name, 24, size) - target) for size in range(multiple, 100 * multiple, multiple)}
    assert distances[nearest] == min(distances.values())
