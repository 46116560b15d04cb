"""`showattend cells`, and a user's own cells, through the command line."""

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from showattend import Captioner
from showattend.cells import cell_names, find_cell
from showattend.cells.catalogue import count_parameters
from showattend.cli.main import main
from showattend.models.inputs import Pixels
from showattend.study.memory_probe import ProbeConfig

README = Path(__file__).parents[2] / "README.md"


def printed(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["cells", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", ["240", "90"])
def test_the_table_holds_every_cell(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(capsys=capsys).splitlines()
    assert max(map(len, lines[:-3])) <= int(columns)
    assert [line.split()[0] for line in lines[1:-4] if not line.startswith(" ")] == cell_names()
    assert "3,147,776" in next(line for line in lines if line.startswith("lstm "))


def test_one_cell_prints_its_equations_source_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed("peephole", capsys=capsys)
    lines = [line.strip() for line in text.splitlines()]
    assert "i = s(a_i + p_i * c)" in lines
    assert "f = s(a_f + p_f * c)" in lines
    assert "Gers & Schmidhuber 2000" in text
    assert "options             initialisation, max_time, peepholes (--model.decoder.cell_options)" in lines
    assert "fused training loop yes" in lines


def test_json_describes_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    descriptions = json.loads(printed("--json", "--input-size", 1024, "--hidden-size", 512, capsys=capsys))
    assert [cell["name"] for cell in descriptions] == cell_names()
    by_name = {cell["name"]: cell for cell in descriptions}
    assert by_name["lstm"]["parameters"] == 4 * 512 * (1024 + 512 + 1)
    assert by_name["clockwork"]["parameters"] == 512 * 1024 + 512 + 512**2 * 5 // 8
    assert by_name["slstm"]["state"] == ["h", "c", "n", "m"]
    assert all(cell["equation"] and cell["source"] and cell["equations"] for cell in descriptions)
    assert [cell["name"] for cell in descriptions if not cell["supports_fused_loop"]] == ["ligru", "sru"]
    assert by_name["mgu"]["parameter_roles"] == {"weight_fh": "U_h, which multiplies f * h"}
    (one,) = json.loads(printed("mgu", "--json", capsys=capsys))
    assert one["name"] == "mgu"


def test_matched_hidden_sizes_give_the_nearest_parameter_count(capsys: pytest.CaptureFixture[str]) -> None:
    descriptions = json.loads(printed("--match", "lstm", "--input-size", 96, "--hidden-size", 64, "--json", capsys=capsys))
    target = count_parameters("lstm", 96, 64)
    assert [cell["name"] for cell in descriptions] == cell_names()
    for cell in descriptions:
        assert cell["parameters"] == count_parameters(cell["name"], 96, cell["hidden_size"])
        hidden_size_multiple = find_cell(cell["name"]).hidden_size_multiple
        for other in (cell["hidden_size"] - hidden_size_multiple, cell["hidden_size"] + hidden_size_multiple):
            assert abs(count_parameters(cell["name"], 96, other) - target) >= abs(cell["parameters"] - target), cell["name"]
    table = printed("--match", "lstm", "--hidden-size", 64, capsys=capsys)
    assert re.search(r"^np +64 .* \+0\.00%$", table, re.M)


def test_plot_draws_the_gates_over_the_words(model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, out = sorted((shapes / "images").glob("test*"))[0], tmp_path / "gates.png"
    text = printed("lstm", "--plot", out, "--model", model, "--photo", photo, capsys=capsys)
    with Image.open(out) as figure:
        assert figure.width > 600
    captioner = Captioner.from_pretrained(model, "cpu")
    caption, (gates,) = captioner.gates(photo)
    assert str(caption) == text.splitlines()[0] == str(captioner.caption(photo))
    assert list(gates) == ["i", "f", "o"]
    assert all(values.shape == (len(caption.words), 128) and 0 <= values.min() <= values.max() <= 1 for values in gates.values())
    assert gates["f"].mean() > 0.5  # the bias is initialised towards remembering


def test_recorded_gates_equal_those_of_single_decoder_steps(model: Path, shapes: Path) -> None:
    photo = sorted((shapes / "images").glob("test*"))[1]
    captioner = Captioner.from_pretrained(model, "cpu")
    caption, (gates,) = captioner.gates(photo)
    decoder = captioner.model.network.decoder
    image = captioner.model.preprocessing(Image.open(photo).convert("RGB")).unsqueeze(0)
    with torch.inference_mode():
        cache, state = decoder.init_state(captioner.model.network.encode_photos(Pixels(image)))
        for t, token_id in enumerate(captioner.model.vocabulary.encode(caption.words)[: len(caption.words)]):
            _, state, _ = decoder.step(torch.tensor([token_id]), state, cache)
            o = state[0] / torch.tanh(state[1])
            assert torch.allclose(gates["o"][t], o[0], atol=1e-4)


def test_bad_input_is_refused_with_one_line(model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    photo = sorted((shapes / "images").glob("test*"))[0]
    plot = ["--plot", tmp_path / "a.png"]
    assert "did you mean 'peephole'" in refused("cells", "peephol")
    assert "give 512, or other periods" in refused("cells", "clockwork", "--hidden-size", 514)
    assert "give --model DIR and --photo PATH too" in refused("cells", "lstm", *plot)
    assert "was trained with the cell 'lstm', not 'gru'" in refused("cells", "gru", *plot, "--model", model, "--photo", photo)
    assert "end its name with" in refused("cells", "--plot", "a.doc", "--model", model, "--photo", photo)
    assert not list(tmp_path.iterdir())


def training(shapes: Path, folder: Path, *options: str) -> list[str]:
    command = ["fit", f"--data.root={shapes}", f"--data.cache_dir={folder / 'cache'}", f"--runs={folder}", "--name=run"]
    command += [
        "--data.num_workers=0",
        "--data.min_count=1",
        "--model.encoder.name=tiny",
        "--model.encoder.weights=none",
        "--model.preprocessing.image_size=64",
    ]
    command += [
        "--model.decoder.embedding_size=16",
        "--model.decoder.hidden_size=24",
        "--model.decoder.attention_size=16",
        "--trainer.max_epochs=1",
        "--seed_everything=0",
    ]
    return [*command, "--trainer.enable_progress_bar=false", *options]


def test_a_user_s_own_cell_trains_by_its_dotted_path(
    shapes: Path, tmp_path: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the README."""
    (code,) = re.findall(r"```python\n(import torch.*?class Minimal.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(code.strip().splitlines()) <= 20
    (tmp_path / "my_cells.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_cells", raising=False)  # another test's, of the same name
    assert main(training(shapes, tmp_path, "--model.decoder.cell=my_cells:Minimal", "--model.decoder.layers=2")) == 0
    photo, out = sorted((shapes / "images").glob("test*"))[0], tmp_path / "gates.png"
    plot = ["my_cells:Minimal", "--plot", out, "--model", tmp_path / "run" / "model", "--photo", photo]
    capsys.readouterr()  # discard what training printed
    assert "allow it with --trust my_cells" in refused("cells", *plot)
    printed(*plot, "--trust", "my_cells", capsys=capsys)
    assert out.exists()
    assert "f = s(a_f)" in printed("my_cells:Minimal", capsys=capsys)


@pytest.mark.parametrize("cell", ["depth_gated", "clockwork", "ligru", "sru"])
def test_a_cell_with_special_state_or_parameters_trains_saves_and_captions(
    cell: str, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--ema=0.9", "--model.decoder.layers=2", "--model.decoder.cell_options={initialisation: chrono, max_time: 12}"]
    assert main(training(shapes, tmp_path, f"--model.decoder.cell={cell}", *options)) == 0
    photo, model = sorted((shapes / "images").glob("test*"))[0], tmp_path / "run" / "model"
    assert json.loads((model / "config.json").read_text())["decoder"]["cell_options"] == {"initialisation": "chrono", "max_time": 12}
    assert main(["caption", str(photo), "--model", str(model)]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.decoder.cell=lstmm"], "unknown cell 'lstmm': did you mean 'lstm'"),
        (["--model.decoder.cell=nowhere:Cell"], "cannot import the cell 'nowhere:Cell'"),
        (["--model.decoder.cell=torch.nn:LSTMCell"], "'torch.nn:LSTMCell' is no RecurrentCell"),
        (["--model.decoder.cell=depth_gated"], "give at least 2 (--model.decoder.layers 2)"),
        (["--model.decoder.cell=clockwork", "--model.decoder.hidden_size=26"], "26 cannot be shared by 4 periods: give 24"),
        (["--model.decoder.cell_options={periods: [1, 2]}"], "unknown option of the cell 'lstm' 'periods'"),
        (["--model.decoder.layers=0"], "layers is 0"),
    ],
)
def test_fit_refuses_a_wrong_cell_option_with_one_line(
    options: list[str], message: str, shapes: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert message in refused(*training(shapes, tmp_path, *options))
    assert not (tmp_path / "run").exists()


def test_memory_prints_learned_delays_and_gradient_norms(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = partial(ProbeConfig, delays=[5, 10], iterations=10, learning_rates=[0.05])
    monkeypatch.setattr("showattend.study.memory_probe.ProbeConfig", config)
    lines = printed("lstm", "--memory", "--hidden-size", "8", capsys=capsys).splitlines()
    assert lines[0].startswith("lstm, 8 units: ")
    assert [line.split()[0] for line in lines if line] == [
        "lstm,",
        "task",
        "copying",
        "adding",
        "order",
        "norm",
        "distance",
        "untrained",
        "trained",
    ]
    assert lines[-3].split()[1:] == ["1", "5", "10", "20", "40", "80"]
    assert all(float(value) > 0 for line in lines[-2:] for value in line.split()[1:])


def test_memory_needs_a_cell(refused: Callable[..., str]) -> None:
    assert "--memory needs a cell: give its NAME" in refused("cells", "--memory")
    assert "unknown cell 'lstmm': did you mean 'lstm'" in refused("cells", "lstmm", "--memory")
    assert "cannot be shared by 4 periods" in refused("cells", "clockwork", "--memory", "--hidden-size", 10)
    assert "three tasks: give one of them" in refused("cells", "lstm", "--memory", "--match", "gru")
