"""Building cells by name: names, dotted paths and options that are refused."""

import pytest
from factories import HIDDEN, PARTS

from showattend.cells import find_cell, make_cell, register
from showattend.errors import InputError


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
def test_a_wrong_option_value_is_an_input_error(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_cell(name, PARTS, 4, options=options)


def test_depth_gated_with_one_layer_is_refused() -> None:
    with pytest.raises(InputError, match="give at least 2"):
        make_cell("depth_gated", PARTS, HIDDEN)


def test_the_message_for_an_unknown_cell_gives_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match="unknown cell 'lstmm': did you mean 'lstm'"):
        find_cell("lstmm")


def test_a_dotted_path_is_accepted_instead_of_a_name() -> None:
    assert find_cell("showattend.cells.lstm:LSTM") is find_cell("lstm")


@pytest.mark.parametrize("path", ["no_such_module:Cell", "showattend.cells:Nothing", "torch.nn:LSTMCell"])
def test_a_dotted_path_to_anything_else_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=path.replace(".", r"\.")):
        find_cell(path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm", {"max_time": "x", "initialisation": "chrono"}, "the cell 'lstm' refuses a value"),
        ("lstm", {"initialisation": ["a"]}, "refuses a value|unknown initialisation"),
        ("clockwork", {"periods": 4}, "the cell 'clockwork' refuses a value"),
        ("clockwork", {"periods": [1, 2.5]}, r"periods are \[1, 2\.5\]"),
        ("clockwork", {"periods": ["1", "2"]}, "the cell 'clockwork' refuses a value"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_cell(name, PARTS, HIDDEN, options=options)


def test_a_name_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="taken"):
        register("lstm")(find_cell("gru"))
