"""Configurations: wrong types, numbers that are not finite, nulls, typos and nonsense, in YAML and on the command line."""

import random
from pathlib import Path
from typing import Any

import yaml

from scripts.torture.fixtures import MODEL, PHOTO, RECIPE, SHAPES
from scripts.torture.outcome import Outcome, Plan, Record, Result
from scripts.torture.sandbox import classify, run_command

VALUES = (
    "null", "true", "-1", "0", "1", "3", "0.5", "1e400", ".nan", "nan", ".inf", "-.inf", "10000000000000000000000", "1e-400",
    '""', "x", "lstm", "lstmm", "soft", "[]", "[1,2]", "{}", "{a: 1}", "{class_path: os.system}", "os:system", "os.system", "/dev/zero",
    "!!python/object/apply:os.system ['touch canary']", "a b", "'\x07'", "\u202e", "&a [*a]", "1,000", "2026-11-26", "0x10",
)  # fmt: skip
NOT_YAML = (
    "", "- a\n- b\n", "just text", "a: [", "\t- x", "a: b: c", "%YAML 9.9\n---\n", "data: 1\n", "model: null\n", "trainer: []\n",
    "? {}\n: x\n",
    "a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n", "[" * 3000,
    "!!python/object/apply:os.system ['touch canary']\n", "x: !!binary 'a'\n", "\0\1\2", "data: {root: 5}\n", "seed_everything: [1]\n",
)  # fmt: skip
# Of each option's values at least these are accepted.
HARMLESS = {
    "model.preprocessing.image_size": ("32", "64", "96"), "model.preprocessing.resize": ("crop", "stretch"),
    "model.decoder.cell": ("gru", "lstm", "elman"), "model.decoder.attention": ("soft", "dot", "mean"),
    "model.decoder.hidden_size": ("1", "3", "16"), "model.decoder.embedding_size": ("1", "7"), "model.decoder.attention_size": ("1", "5"),
    "model.decoder.dropout": ("0", "0.5"), "model.loss.penalty": ("0", "0.5", "1e-400"), "model.loss.label_smoothing": ("0", "0.1"),
    "model.optimizer.name": ("adam", "rmsprop"), "model.optimizer.learning_rate": ("1e-3", "1e-300"), "model.optimizer.warmup": ("0", "1"),
    "model.generation.beam": ("1", "3"), "model.generation.max_length": ("1", "10"), "data.batch_size": ("1", "1000"),
    "data.captions_per_photo": ("1", "null"), "data.min_count": ("0", "1"), "data.max_words": ("3", "null"), "data.flip": ("true", "false"),
    "ema": ("0", "0.5"), "monitor": ("val_loss", "val_cider_d"), "patience": ("0", "3"), "every_n_steps": ("0", "1"),
    "trainer.max_epochs": ("1", "2"), "trainer.gradient_clip_val": ("null", "0.5"), "trainer.log_every_n_steps": ("1", "50"),
}  # fmt: skip
HARMLESS_CAPTION = {
    "--beam": ("1", "4"), "--max-length": ("1", "10"), "--length-penalty": ("0", "1.5", "-1"), "--no-repeat-ngram": ("0", "2"),
    "--ban": ("red", "nowhere"), "--batch-size": ("1", "100"), "--workers": ("0", "1"), "--num-captions": ("1", "2"), "--seed": ("0", "7"),
    "--json": ("o.json", "/dev/null"), "--csv": ("o.csv", "new/o.csv"), "--trust": ("nothing",),
}  # fmt: skip
SHORT = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
TRAINER = (
    "max_epochs", "max_steps", "gradient_clip_val", "check_val_every_n_epoch", "accumulate_grad_batches", "limit_train_batches",
    "limit_val_batches", "precision", "accelerator", "devices", "log_every_n_steps", "num_sanity_val_steps",
    "deterministic", "val_check_interval",
)  # fmt: skip
CAPTION = (
    "--beam", "--max-length", "--min-length", "--length-penalty", "--no-repeat-ngram", "--must-include", "--ban", "--groups", "--diversity",
    "--temperature", "--top-k", "--top-p", "--seed", "--num-captions", "--batch-size", "--workers", "--json", "--csv",
    "--attention-mode", "--trust",
)  # fmt: skip


def run(plan: Plan, record: Record) -> None:
    """Options of `fit` on the command line and in YAML, files that are no configuration, and options of `caption`."""
    keys = fit_options()
    for sort, (attempt, full, quick) in SORTS.items():
        for number in range(plan.count(full, quick)):
            rng = random.Random(f"{plan.seed} config {sort} {number}")
            record.attempt(f"{sort} {number}", lambda folder, rng=rng, attempt=attempt: attempt(rng, folder, plan, keys))


def fit_options() -> list[str]:
    """The names of the options of `fit`, from the dataclasses that declare them."""
    from dataclasses import fields, is_dataclass
    from typing import get_type_hints

    from showattend.training.config import CaptionerConfig
    from showattend.training.run_config import DataConfig, RunConfig

    def names(cls: Any, prefix: str) -> list[str]:
        declared = get_type_hints(cls)
        inner = [(f"{prefix}{field.name}", declared[field.name]) for field in fields(cls)]
        return [each for name, kind in inner for each in (names(kind, f"{name}.") if is_dataclass(kind) else [name])]

    return [*names(CaptionerConfig, "model."), *names(DataConfig, "data."), *names(RunConfig, ""), *(f"trainer.{name}" for name in TRAINER)]


def _typo(rng: random.Random, name: str) -> str:
    place = rng.randrange(len(name))
    return name[:place] + rng.choice(["", "x", name[place] * 2]) + name[place + 1 :]


def _fit(plan: Plan, folder: Path, arguments: list[str], done: str) -> Result:
    common = [
        "fit",
        "--config",
        str(plan.fixtures / RECIPE),
        "--data.root",
        str(plan.fixtures / SHAPES),
        "--data.cache_dir",
        "cache",
        *SHORT,
    ]
    ended = run_command([*common, "--runs", "runs", "--name", "run", *arguments], folder, timeout=90)
    return _result(ended, folder, done)


def _result(ended: Any, folder: Path, done: str) -> Result:
    result = classify(ended)
    if (folder / "canary").exists():
        result = Result(Outcome.LOST, "code of the configuration ran")
    return result._replace(detail=f"{done}\n{result.detail}")


def _command_line(rng: random.Random, folder: Path, plan: Plan, keys: list[str]) -> Result:
    arguments = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        if rng.random() < 0.4:
            key = rng.choice(list(HARMLESS))
            arguments.append(f"--{key}={rng.choice(HARMLESS[key])}")
            continue
        key = rng.choice(keys)
        arguments.append(f"--{_typo(rng, key) if rng.random() < 0.15 else key}={rng.choice(VALUES)}")
    return _fit(plan, folder, arguments, " ".join(arguments))


def _yaml(rng: random.Random, folder: Path, plan: Plan, keys: list[str]) -> Result:
    content = yaml.safe_load((plan.fixtures / RECIPE).read_text())
    done = []
    for _ in range(rng.choice([1, 1, 2])):
        harmless = rng.random() < 0.4
        key = rng.choice(list(HARMLESS) if harmless else keys)
        *path, last = key.split(".")
        holder = content
        for name in path:
            holder = holder.setdefault(_typo(rng, name) if not harmless and rng.random() < 0.05 else name, {})
        if not harmless and rng.random() < 0.15:
            last = _typo(rng, last)
        text = rng.choice(HARMLESS[key] if harmless else VALUES)
        holder[last] = _Raw(text)
        done.append(f"{'.'.join([*path, last])}: {text}")
    (folder / "changed.yaml").write_text(yaml.dump(content, Dumper=_RawDumper))
    return _fit(plan, folder, ["--config", "changed.yaml"], "; ".join(done))


class _Raw(str):
    """A text that is written into YAML as it is, without quotes."""

    __slots__ = ()


class _RawDumper(yaml.SafeDumper):
    """Writes `_Raw` plainly."""


def _plain_or_loaded(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    """The value that the text means in YAML; a text that is no YAML by itself stays a string."""
    try:
        return dumper.represent_data(yaml.safe_load(value))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return dumper.represent_str(str(value))


_RawDumper.add_representer(_Raw, _plain_or_loaded)


def _no_yaml(rng: random.Random, folder: Path, plan: Plan, keys: list[str]) -> Result:
    content = rng.choice(NOT_YAML)
    if rng.random() < 0.4:
        recipe = (plan.fixtures / RECIPE).read_text()
        start = rng.randrange(len(recipe))
        content = recipe[:start] + rng.choice(["\t", "{", "&", ": ", "!!x ", "\x00", '"', "-"]) + recipe[start:]
    (folder / "changed.yaml").write_text(content)
    return _fit(plan, folder, ["--config", "changed.yaml"], repr(content[:200]))


def _caption(rng: random.Random, folder: Path, plan: Plan, keys: list[str]) -> Result:
    arguments = ["caption", str(plan.fixtures / PHOTO), "--model", str(plan.fixtures / MODEL)]
    for _ in range(rng.choice([1, 2])):
        if rng.random() < 0.5:
            option = rng.choice(list(HARMLESS_CAPTION))
            arguments.append(f"{option}={rng.choice(HARMLESS_CAPTION[option])}")
            continue
        option = rng.choice(CAPTION)
        arguments.append(f"{_typo(rng, option) if rng.random() < 0.1 else option}={rng.choice(VALUES)}")
    if rng.random() < 0.3:
        arguments.append("--sample")
    return _result(run_command(arguments, folder, timeout=60), folder, " ".join(arguments[4:]))


SORTS = {
    "command line": (_command_line, 80, 2),
    "YAML": (_yaml, 50, 1),
    "no YAML": (_no_yaml, 20, 1),
    "caption": (_caption, 60, 2),
}
