"""Model folders: files missing, cut, changed and exchanged, wrong values in config.json, and damaged tensors."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from scripts.torture.fixtures import GRAPH_MODEL, MODEL, PHOTO
from scripts.torture.model_files import CONFIG, SPEC, WEIGHTS, damage_file, damage_json, damage_tensors, rehash, write_canary
from scripts.torture.outcome import Outcome, Plan, Record, Result
from scripts.torture.sandbox import classify, run_command

Damage = Callable[[random.Random, Path, Plan], str]


def run(plan: Plan, record: Record) -> None:
    """Three sorts of damage, each to both models."""
    for sort, (damage, full, quick) in SORTS.items():
        for number in range(plan.count(full, quick)):
            rng = random.Random(f"{plan.seed} model {sort} {number}")
            record.attempt(f"{sort} {number}", lambda folder, rng=rng, damage=damage: caption_with(damage, rng, folder, plan))


def caption_with(damage: Damage, rng: random.Random, folder: Path, plan: Plan, base: str | None = None) -> Result:
    """Copy a model, damage it, and caption a photo with it."""
    base = base or rng.choice([MODEL, GRAPH_MODEL])
    model = folder / "model"
    shutil.copytree(plan.fixtures / base, model)
    write_canary(folder)
    done = damage(rng, model, plan)
    ended = run_command(["caption", str(plan.fixtures / PHOTO), "--model", "model"], folder, timeout=40)
    result = classify(ended)
    if (folder / "canary").exists() or (model / "canary").exists():
        result = Result(Outcome.LOST, "code of the model folder ran")
    return result._replace(detail=f"{done}\n{result.detail}")


def _file(rng: random.Random, model: Path, plan: Plan) -> str:
    path = rng.choice(sorted(model.iterdir()))
    other = rng.choice([*sorted((plan.fixtures / MODEL).iterdir()), *sorted((plan.fixtures / GRAPH_MODEL).iterdir())])
    done = damage_file(rng, path, other)
    if rng.random() < 0.5:
        rehash(model)
        done += ", rehashed"
    return done


def _config(rng: random.Random, model: Path, plan: Plan) -> str:
    name = rng.choice([CONFIG] * 6 + ["vocabulary.json", "metrics.json"])
    done = damage_json(rng, model / name)
    if name != CONFIG:
        rehash(model)
    return done


def _tensors(rng: random.Random, model: Path, plan: Plan) -> str:
    done = damage_tensors(rng, model / WEIGHTS)
    rehash(model)
    return done


def damage_graph(rng: random.Random, model: Path, plan: Plan) -> str:
    """Change the encoder's graph, with the right digest."""
    done = damage_json(rng, model / SPEC)
    rehash(model)
    return done


SORTS: dict[str, tuple[Damage, int, int]] = {
    "file": (_file, 120, 3),
    "values": (_config, 160, 3),
    "tensors": (_tensors, 40, 2),
}
