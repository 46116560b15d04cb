"""The whole program through its command line, with good input and bad."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO

from showattend import Captioner, __version__
from showattend.cli.main import main
from showattend.data.captions import read_captions
from showattend.metrics import corpus_scores
from showattend.training.command import DESCRIPTIONS
from showattend.vocabulary import tokenize

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def photos(shapes: Path, tmp_path: Path) -> Path:
    """A folder with two good pictures, three bad ones and a text."""
    folder = tmp_path / "photos"
    (folder / "folder").mkdir(parents=True)
    good = sorted((shapes / "images").glob("test*"))
    (folder / "COCO_val2014_000000000042.png").write_bytes(good[0].read_bytes())
    (folder / "folder" / "b.jpg").write_bytes(good[1].read_bytes())
    (folder / "empty.jpg").touch()
    (folder / "no_picture.jpg").write_text("no picture")
    (folder / "cut.png").write_bytes(good[2].read_bytes()[:200])
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_captions_of_a_folder_with_broken_photos(model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = {kind: tmp_path / "out" / f"captions.{kind}" for kind in ("json", "csv")} | {"coco": tmp_path / "out" / "coco.json"}
    arguments = [argument for kind, path in outs.items() for argument in (f"--{kind}", str(path))]
    assert main(["caption", str(photos), "--model", str(model), *arguments]) == 1
    printed = capsys.readouterr()
    lines = [line.split("\t") for line in printed.out.splitlines()]
    assert [Path(name).name for name, _ in lines] == ["COCO_val2014_000000000042.png", "b.jpg"]
    assert printed.err.count("skipped") == 3
    assert "3 of 5 photos could not be read" in printed.err
    rows = json.loads(outs["json"].read_text())
    assert [row["caption"] for row in rows] == [caption for _, caption in lines]
    assert all(len(row["alphas"]) == len(row["words"]) and len(row["alphas"][0]) == 64 for row in rows)
    assert [row["caption"] for row in csv.DictReader(outs["csv"].read_text().splitlines())] == [caption for _, caption in lines]
    assert json.loads(outs["coco"].read_text()) == [
        {"image_id": 42, "caption": lines[0][1]},
        {"image_id": "b.jpg", "caption": lines[1][1]},
    ]


def test_a_photo_named_twice_is_captioned_once(model: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = photos / "folder" / "b.jpg"
    assert main(["caption", str(one), f"{photos}/**/b.*", "--model", str(model), "--beam", "1"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 1


def test_captions_do_not_depend_on_the_batch(model: Path, shapes: Path) -> None:
    captioner = Captioner.from_pretrained(model, "cpu")
    paths = sorted((shapes / "images").glob("*.png"))[:7]
    together = [str(caption) for _, caption in captioner.caption_files(paths, batch_size=3)]
    assert together == [str(captioner.caption(path)) for path in paths]


def test_the_result_file_is_read_by_coco_s_own_tools(model: Path, shapes: Path, tmp_path: Path) -> None:
    assert main(["evaluate", "--model", str(model), "--data.root", str(shapes), "--split", "test", "--out", str(tmp_path / "out")]) == 0
    photos = read_captions(shapes).split("test")
    coco = COCO()
    coco.dataset = {"images": [{"id": photo.id} for photo in photos], "annotations": []}
    coco.createIndex()
    results = coco.loadRes(str(tmp_path / "out" / "results.json"))
    assert sorted(results.getImgIds()) == sorted(photo.id for photo in photos)
    captions = {row["image_id"]: row["caption"].split() for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    expected = corpus_scores(captions, {photo.id: [tokenize(caption) for caption in photo.captions] for photo in photos})
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {name: written[name] for name in expected} == expected
    assert list(expected) == ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d"]


def test_results_are_on_disk_before_a_score_can_fail(model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("showattend.cli.scoring.corpus_statistics", lambda *_: (_ for _ in ()).throw(RuntimeError("no score")))
    with pytest.raises(RuntimeError, match="no score"):
        main(["evaluate", "--model", str(model), "--data.root", str(shapes), "--out", str(tmp_path / "out")])
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 8


def test_attend_draws_over_the_original_photo(model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = next((shapes / "images").glob("test*"))
    assert main(["attend", str(photo), "--model", str(model), "--out", str(tmp_path / "new" / "figure.png")]) == 0
    with Image.open(tmp_path / "new" / "figure.png") as figure:
        assert figure.width > 400
    assert str(Captioner.from_pretrained(model, "cpu").caption(photo)) in capsys.readouterr().out


# Commands, and a part of the message: {tmp} holds an empty folder `empty` and an empty file `file`, {photo} is a good photo.
TINY_FIT = "fit --data.root {shapes} --model.encoder.name tiny --model.encoder.weights none"
BAD_COMMANDS = [
    ("caption {tmp}/empty --model {model}", "holds no photo"),
    ("caption nowhere*.jpg --model {model}", "no photo at"),
    ("caption {photo} --model {tmp}/nowhere", "no model folder"),
    ("caption {photo} --model {tmp}/empty", "is no model folder"),
    ("caption {photo} --model {model} --beam 0", "beam is 0"),
    ("caption {photo} --model {model} --csv {tmp}/file/x.csv", "cannot write"),
    ("caption {photo} --model {model} --json {tmp}/empty", "is a folder"),
    ("attend {photos}/no_picture.jpg --model {model} --out {tmp}/x.png", "not a picture"),
    ("attend {photo} --model {model} --out {tmp}/x.doc", "end its name with"),
    ("evaluate --model {model} --data.root {tmp}/nowhere", "no folder at"),
    ("evaluate --model {model} --data.root {tmp}/empty", "laid out like no data set"),
    ("evaluate --model {model} --data.root {shapes} --split dev", "choose from train, val, test"),
    ("evaluate --model {model} --data.root {shapes} --data.layout cocoo", "did you mean 'coco'"),
    ("evaluate --model {model} --data.root {shapes} --out {tmp}/file", "cannot write"),
    ("demo --out {tmp}/file/demo", "cannot write"),
    ("fit", "data.root"),
    ("fit --data.root {tmp}/nowhere", "no folder at"),
    ("fit --config {tmp}/nowhere.yaml", "does not exist"),
    ("fit --data.root {shapes} --data.min_count 1000000", "lower min_count"),
    ("fit --data.root {shapes} --model.hiden_size 3", "hiden_size"),
    ("fit --data.root {shapes} --model.decoder.hidden_size many", "model.decoder.hidden_size"),
    ("fit --data.root {shapes} --model.encoder.name resnet5O", "did you mean 'resnet50'"),
    ("fit --data.root {shapes} --model.encoder.weights {tmp}/no.pth", "no weights at"),
    ("fit --data.root {shapes} --model.encoder.weights {tmp}/file", "cannot read weights"),
    (f"{TINY_FIT} --model.decoder.cell lstmm", "did you mean 'lstm'"),
    (f"{TINY_FIT} --runs {{tmp}}/file", "cannot write"),
    ("validate --data.root {shapes}", "needs a checkpoint"),
    ("validate --data.root {shapes} --ckpt_path {tmp}/nowhere.ckpt", "cannot read the checkpoint"),
    ("validate --data.root {shapes} --ckpt_path {tmp}/file", "cannot read the checkpoint"),
    ("test --data.root {shapes} --ckpt_path best", "needs a checkpoint"),
]


@pytest.mark.parametrize(("command", "message"), BAD_COMMANDS)
def test_bad_input_is_one_line_and_writes_no_file(
    command: str,
    message: str,
    model: Path,
    shapes: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    places = {"tmp": tmp_path, "model": model, "shapes": shapes, "photos": photos, "photo": photos / "folder" / "b.jpg"}
    assert message in refused(*(part.format(**places) for part in command.split()))
    assert sorted(tmp_path.rglob("*")) == before


def test_fit_names_the_photos_that_it_leaves_out(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    rows = ["image,caption,split", "gone.png,a star,train"]
    for number, path in enumerate(sorted((shapes / "images").glob("train*"))[:6]):
        (root / "images" / path.name).write_bytes(path.read_bytes() if number != 1 else b"")
        rows.append(f"{path.name},a red star,{'val' if number > 3 else 'train'}")
    (root / "mine.csv").write_text("\n".join(rows))
    command = ["fit", f"--data.root={root}", f"--data.cache_dir={tmp_path / 'cache'}", f"--runs={tmp_path}", "--data.num_workers=0"]
    command += [
        "--data.min_count=1",
        "--model.encoder.name=tiny",
        "--model.encoder.weights=none",
        "--model.preprocessing.image_size=64",
        "--trainer.max_epochs=1",
    ]
    command += ["--seed_everything=0", "--trainer.enable_progress_bar=false"]
    assert main(command) == 0
    printed = capsys.readouterr()
    output = printed.out + printed.err
    assert "1 photos listed without a file, left out (such as gone.png)" in output
    assert "train_00001.png: the file is empty" in output
    assert "No model was kept" not in output
    assert main([*command, "--data.batch_size=2", "--trainer.max_steps=1"]) == 0, "within its first epoch"
    assert "No model was kept" in capsys.readouterr().out


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    from showattend.errors import InputError

    with pytest.raises(InputError):
        main(["caption", str(tmp_path), "--model", str(tmp_path), "--debug"])


@pytest.mark.parametrize("arguments", [["caption"], ["nothing"], [], ["caption", "a.jpg", "--model", "m", "--batch-size", "0"]])
def test_incomplete_or_unknown_commands_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_shows_examples_and_imports_no_heavy_library() -> None:
    code = "import sys, showattend.cli.main; showattend.cli.main.main(['--help'])"
    check = "import sys; assert not {'torch', 'lightning', 'matplotlib', 'nltk'} & set(sys.modules), set(sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", f"try:\n {code}\nexcept SystemExit: pass\n{check}"], capture_output=True, text=True, check=True
    )
    assert "showattend fit --config flickr8k" in run.stdout


def test_a_closed_pipe_is_no_error(model: Path, shapes: Path) -> None:
    command = f"{sys.executable} -m showattend caption {shapes}/images --model {model} --batch-size 4 | head -n 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(run.stdout.splitlines()) == 1
    assert "Traceback" not in run.stderr
    assert "Broken pipe" not in run.stderr


def test_python_m_and_the_version() -> None:
    run = subprocess.run([sys.executable, "-m", "showattend", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"showattend {__version__}"


@pytest.mark.parametrize("name", ["train", "caption", "evaluate", "attend"])
def test_a_script_runs_the_command(name: str) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    run = subprocess.run([sys.executable, SCRIPTS / f"{name}.py", "--help"], capture_output=True, text=True, check=True, env=environment)
    assert "usage:" in run.stdout


def test_what_a_command_reads_is_not_written_over(model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    photo = shutil.copy(next((shapes / "images").iterdir()), tmp_path / "a.png")
    data, results = tmp_path / "captions.csv", tmp_path / "other" / "results.json"
    results.parent.mkdir()
    data.write_text("file,caption\na.png,a dog\n")
    results.write_text('[{"image_id": "a.png", "caption": "a dog"}]')
    (tmp_path / "link.png").symlink_to(photo)
    (results.parent / "link.csv").symlink_to(photo)
    weights = shutil.copytree(model, tmp_path / "model") / "config.json"
    folder = ["--model", tmp_path / "model"]
    before = {path: path.read_bytes() for path in (photo, data, results, weights)}
    for command in (
        ["attend", photo, *folder, "--out", photo],
        ["attend", photo, *folder, "--out", tmp_path / "link.png"],
        ["score", photo, "a dog", *folder, "--out", photo],
        ["cells", "lstm", "--plot", photo, "--photo", photo, *folder],
        ["caption", photo, *folder, "--csv", photo],
        ["caption", photo, *folder, "--json", weights],
        ["caption", photo, *folder, "--csv", results.parent / "link.csv"],
        ["data", tmp_path, "--json", data],
        ["idf", data, "--data.root", tmp_path],
        ["evaluate", *folder, "--data.root", tmp_path, "--card", data],
        ["ground", *folder, "--data.root", tmp_path, "--boxes", "none", "--faithfulness", 1, "--plot", photo],
        ["idf", data, "--references", data],
        ["evaluate", "--results", results, "--references", data, "--report", results],
    ):
        assert "this command reads it" in refused(*command), command
    assert {path: path.read_bytes() for path in before} == before
    # In a folder figures get other names.
    assert main(["attend", str(tmp_path / "a.png"), *map(str, folder), "--out", str(tmp_path), "--format", "png"]) == 0
    assert photo.read_bytes() == before[photo]
    assert (tmp_path / "a-2.png").exists()


HUGE = "9" * 20


@pytest.mark.parametrize(
    "options",
    [
        ["caption", "PHOTO", "--model", "MODEL", "--max-length", HUGE],
        ["caption", "PHOTO", "--model", "MODEL", "--beam", HUGE],
        ["caption", "PHOTO", "--model", "MODEL", "--sample", "--num-captions", "10000000"],
        ["fit", "--config", "shapes", "--data.root", "TWICE", "--model.preprocessing.image_size", "99999999999"],
        ["study", "--config", "study_memory", "--seeds", "99999999"],
        ["data", "TWICE"],
    ],
    ids=" ".join,
)
def test_numbers_without_end_and_names_that_stand_twice_are_refused(
    options: list[str], model: Path, shapes: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    photo = shutil.copy(next((shapes / "images").iterdir()), tmp_path / "a.png")
    (tmp_path / "captions.json").write_text('{"a.png": "a dog", "a.png": "a cat"}')
    places = {"PHOTO": photo, "MODEL": model, "TWICE": tmp_path}
    error = refused(*(places.get(option, option) for option in options))
    assert "give at" in error or "'a.png' stands in it twice" in error


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("bulk photos --output out --num-captions 3", "--num-captions 3, which caption, attend have"),
        ("evaluate --model m --data.root d --gates", "--gates, which attend, score have"),
        ("caption a.png --model m --beem 3", "--beem 3: did you mean --beam?"),
        ("evalute", "did you mean evaluate?"),
    ],
)
def test_what_a_command_does_not_know_says_what_was_meant(command: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert hint in capsys.readouterr().err


def test_options_that_are_not_known_are_quoted_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["caption", "a", "--\x1b[2J"], ["cells", "--hidden-size", HUGE], ["app", "--model", "m", "--port", "99999"]):
        with pytest.raises(SystemExit, match="2"):
            main(command)
        assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["fit", "refine", "validate", "test"])
def test_the_help_of_training_begins_with_its_own_name_and_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: showattend {name} [--config NAME]")
    assert DESCRIPTIONS[name].startswith(lines[2])
    options = [line.split()[0] for line in lines if line.startswith("  --")]
    assert options.index("--data.root") < options.index("--trainer.max_epochs")


def test_evaluate_names_the_tokeniser_that_was_chosen(
    model: Path, shapes: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    command = ["evaluate", "--model", str(model), "--data.root", str(shapes)]
    scores = []
    for name, label in (("nltk", "tokens:nltk-3"), ("ptb", "tokens:ptb|")):
        assert main([*command, "--tokenizer", name]) == 0
        printed = capsys.readouterr().out
        assert label in printed
        scores.append([line for line in printed.splitlines() if "BLEU" in line])
    assert scores[0] == scores[1]  # these captions hold no mark on which the two differ
    assert "did you mean 'ptb'" in refused(*command, "--tokenizer", "ptbb")


def test_two_systems_are_compared_on_all_photos_or_refused(
    model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    command = ["evaluate", "--model", str(model), "--data.root", str(shapes)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    results = tmp_path / "out" / "results.json"
    assert main([*command, "--compare", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("[+0.0000, +0.0000]  p 1.000") for line in lines) == 6
    rows = json.loads(results.read_text())
    other = tmp_path / "other.json"
    for bad, message in (
        (rows[1:], "has no caption for 1 photos"),
        ([*rows, rows[0]], "has several captions for 1 photos"),
        ([*rows, {"image_id": "stranger", "caption": "a"}], "such as 'stranger'"),
        ([{"image_id": 1}], "no list of image_id and caption"),
        ({"a": 1}, "no list of image_id and caption"),
    ):
        other.write_text(json.dumps(bad))
        assert message in refused(*command, "--compare", other)


def test_most_captions_in_8_bits_are_those_of_32(model: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for precision in ("int8", "32"):
        assert main(["caption", str(shapes / "images"), "--model", str(model), "--precision", precision, "--workers", "0"]) == 0
        lines.append(capsys.readouterr().out.splitlines())
    equal = sum(one == other for one, other in zip(*lines, strict=True))
    assert equal > len(lines[1]) / 2 > 0


@pytest.mark.slow
def test_fused_captions_are_the_same(model: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for options in ([], ["--fuse", "always"]):
        assert main(["caption", str(shapes / "images"), "--model", str(model), "--workers", "0", *options]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_the_console_command_finds_a_cell_in_the_working_folder(tmp_path: Path) -> None:
    """With -P Python leaves the working folder out of sys.path, as it does for a console command."""
    (tmp_path / "my_own_cells.py").write_text("from showattend.cells import find_cell\n\n\nclass Mine(find_cell('elman')):\n    pass\n")
    command = [sys.executable, "-P", "-m", "showattend", "cells", "my_own_cells:Mine"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
