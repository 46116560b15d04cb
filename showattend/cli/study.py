"""`showattend study`: train every cell under one budget and compare them, or measure over which distance they remember."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.cli.options import Commands, whole_number
from showattend.console import print_line
from showattend.errors import InputError

if TYPE_CHECKING:
    from showattend.study.config import StudyConfig

LIBRARIES = ("optuna", "scipy", "statsmodels", "sklearn", "yaml")


def add_parser(commands: Commands) -> None:
    """The options of `showattend study`."""
    study = commands.add_parser(
        "study",
        help="compare the cells: on captioning, or on memory over growing delays",
        description="Train every cell under one budget, several times, and say with confidence intervals which differ. "
        "An interrupted study goes on with the same command. Needs the extra `study`: pip install 'showattend[study]'.",
    )
    study.add_argument(
        "--config",
        metavar="NAME",
        help="study_shapes, study_flickr8k, study_memory, or a file of your own (default: that of the study in --out)",
    )
    study.add_argument("--out", type=Path, metavar="DIR", help="folder of the study (default: runs/NAME)")
    study.add_argument("--data.root", dest="root", type=Path, metavar="DIR", help="folder of the data set, for a study of captions")
    study.add_argument("--cells", nargs="+", metavar="CELL", help="names, or my_package.cells:MyCell (default: those of the configuration)")
    study.add_argument("--tracks", nargs="+", metavar="TRACK", help="equal_size, equal_parameters (default: those of the configuration)")
    study.add_argument("--trials", type=whole_number(1), metavar="N", help="hyperparameter settings to try, the same ones for every cell")
    study.add_argument(
        "--seeds",
        type=whole_number(1),
        metavar="N",
        help="training runs of each cell with its chosen setting, or repetitions",
    )
    study.add_argument(
        "--jobs", type=whole_number(1), default=1, metavar="N", help="processes, each with one thread (default: %(default)s)"
    )
    study.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own, such as my_package.cells, that the study in --out may import; may be given often",
    )
    task = study.add_mutually_exclusive_group()
    task.add_argument("--dry-run", action="store_true", help="count the runs, and estimate the hours from one that is timed")
    task.add_argument("--rerun", metavar="TRIAL", help="repeat one trial of the study, and compare its numbers with those in its row")
    study.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run, plan, or repeat a trial.

    Returns:
        0; 1 if runs have failed (one that diverged is a result), or a repeated trial has other numbers
    """
    _check_libraries()
    folder = _folder(args)
    config = _config(args, folder)
    if args.rerun:
        return _rerun(config, folder, args.rerun, args.trust)
    if args.dry_run:
        _print_plan(config, folder, args.jobs, args.trust)
        return 0
    from showattend.study.study import run_study

    _check_photos(config)
    summary = run_study(config, folder, args.jobs, trusted=args.trust)
    _print_conclusion(summary)
    print(f"\n{folder / 'report.html'}\n{folder / 'trials.csv'}\n{folder / 'summary.json'}")
    return int(summary["runs"]["failed"] > 0)


def _check_libraries() -> None:
    from importlib.util import find_spec

    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise InputError(f"showattend study needs {', '.join(missing)}: install them with pip install 'showattend[study]'")


def _folder(args: argparse.Namespace) -> Path:
    if args.out is None and args.config is None:
        raise InputError("a study needs a configuration or a folder: give --config study_shapes, or the --out of a study to go on with")
    folder: Path = args.out or Path("runs") / Path(args.config).stem
    return folder


def _config(args: argparse.Namespace, folder: Path) -> "StudyConfig":
    from showattend.study.config_file import read_config
    from showattend.study.study import stored_config_path
    from showattend.training.recipes import recipe_path

    path = Path(recipe_path(args.config)) if args.config else stored_config_path(folder)
    trusted = None if args.config else [*args.trust, *(args.cells or [])]
    return read_config(path, trusted=trusted, cells=args.cells, tracks=args.tracks, trials=args.trials, seeds=args.seeds, root=args.root)


def _check_photos(config: "StudyConfig") -> None:
    """Refuse a study of a pretrained encoder without photos: it would be one of the embedded shapes, for which no encoder is pretrained."""
    from showattend.encoders.base import RANDOM_WEIGHTS
    from showattend.study.config import CaptionStudy

    if not isinstance(config, CaptionStudy) or config.data.root or config.encoder_recipe:
        return
    if config.encoder.weights != RANDOM_WEIGHTS:
        raise InputError("the study's encoder is pretrained on photos: give --data.root DIR, the folder of the data set")


def _print_plan(config: "StudyConfig", folder: Path, processes: int, trusted: list[str]) -> None:
    from showattend.study.study import plan_study

    plan = plan_study(config, folder, trusted=trusted)
    if plan.planned == plan.finished:
        print(f"all {plan.planned} runs are done")
        return
    print(f"{plan.planned} runs, {plan.finished} of them done; a timed one took {plan.seconds_a_run:.1f} seconds")
    if plan.problem:
        print_line(f"but it {plan.problem}; the estimate below is only as good as that")
    print(f"about {plan.hours_left / processes:.1f} hours are left with {processes} process{'es' * (processes > 1)}")


def _rerun(config: "StudyConfig", folder: Path, trial: str, trusted: list[str]) -> int:
    from showattend.study.study import differences, rerun

    stored, repeated = rerun(config, folder, trial, trusted=trusted)
    print_line(f"{trial}: {stored.status}; a setting of {stored.job.params or 'none'}, seed {stored.job.seed}")
    changed = differences(stored, repeated)
    for name, (old, new) in changed.items():
        print_line(f"  {name}: {old} in the row, {new} now")
    print(f"{len(changed)} values differ" if changed else f"the same {len(stored.values)} values" if stored.values else "the same")
    return 1 if changed else 0


def _print_conclusion(summary: dict[str, Any]) -> None:
    parts: dict[str, Any] = summary.get("tracks", {"": summary})
    for name, content in parts.items():
        print(f"\n{name.replace('_', ' ')}".rstrip())
        for sentence in content["conclusion"]:
            print(f"  {sentence}")
