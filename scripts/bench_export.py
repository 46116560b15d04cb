"""A model in torch, and exported to onnxruntime: size, seconds to the first caption of a new process, captions a second, equal captions.

    python scripts/bench_export.py                                         MobileNetV2 with random weights, drawn photos
    python scripts/bench_export.py --model DIR --photos DIR --json FILE    your own

  torch, torch int8    the model folder, decoder in float32 or with matrices of 8 bits
  onnx, onnx int8      what `showattend export` writes of it, through `caption --backend onnxruntime`

All photos go through each in turns, `--rounds` times; medians, with the smallest and the largest. Equal captions: the share of the photos
whose caption is that of torch in float32.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_common import Table, add_names, draw_photos, make_parser, print_head, timed, write_json
from bench_startup import save_random_model, seconds_to_first_line

from showattend import Captioner
from showattend.data.photos import find_photos
from showattend.export import export_model
from showattend.inference.caption import Caption, Failure
from showattend.pretrained import load_pretrained
from showattend.runtime import ExportedCaptioner

DRAWN = 128
RUNTIMES = ("torch", "torch int8", "onnx", "onnx int8")
ONNX = ("--backend", "onnxruntime")
CaptionAll = Callable[[Sequence[Path]], Iterator[tuple[Path, Caption | Failure]]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each runtime."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Whole paths: the commands run in the repository's folder.
        model = options.model.resolve() if options.model else save_random_model("mobilenet_v2", folder)
        found = find_photos([str(options.photos.resolve())]).paths if options.photos else draw_photos(folder, options.count)
        photos = found[: options.count]
        names = [name for name in RUNTIMES if name == "torch" or name in (options.names or RUNTIMES)]
        for name in names:
            if name.startswith("onnx"):
                export_model(load_pretrained(model), folder / name, int8=name == "onnx int8")
        print_head("cpu", f"{len(photos)} photos")
        write_json(options.json, _measure(names, model, folder, photos, options.rounds))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, rounds=3)
    add_names(parser, "runtime", RUNTIMES)
    parser.add_argument("--model", type=Path, metavar="DIR", help="a model folder (default: MobileNetV2 with random weights)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="a folder of photos (default: drawn ones)")
    parser.add_argument("--count", type=int, default=DRAWN, metavar="N", help="take the first N photos (default: %(default)s)")
    return parser.parse_args(arguments)


def _measure(names: Sequence[str], model: Path, folder: Path, photos: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """A row for each runtime, printed."""
    runtimes = {name: _load(name, model, folder) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in runtimes}
    captions = {name: [_text(caption) for _, caption in run(photos)] for name, (_, _, run) in runtimes.items()}
    for _ in range(rounds):
        for name, (_, _, run) in runtimes.items():
            seconds[name].append(timed(lambda run=run: list(run(photos)))[1])  # type: ignore[misc]
    columns = ("runtime", 10), ("size", 10), ("first caption", 13), ("captions/s", 10), ("spread", 16), ("equal", 7)
    table, rows = Table(*columns), []
    for name, (place, extra, _) in runtimes.items():
        command = ["-m", "showattend", "caption", str(photos[0]), "--model", str(place), *extra]
        rows.append(
            {
                "case": name,
                "megabytes": sum(path.stat().st_size for path in place.iterdir()) / 1e6,
                "first_caption_seconds": statistics.median(seconds_to_first_line(command) for _ in range(rounds)),
                "captions_a_second": len(photos) / statistics.median(seconds[name]),
                "spread": [len(photos) / max(seconds[name]), len(photos) / min(seconds[name])],
                "equal_captions": sum(map(str.__eq__, captions[name], captions["torch"])) / len(photos),
            }
        )
        table.add(*_cells(**rows[-1]))
    return rows


def _load(name: str, model: Path, folder: Path) -> tuple[Path, Sequence[str], CaptionAll]:
    """The folder of a runtime's model, its options, and what captions with it."""
    if name.startswith("onnx"):
        return folder / name, ONNX, ExportedCaptioner.from_folder(folder / name).caption_files
    precision = "int8" if name == "torch int8" else "32"
    return model, ("--precision", precision), Captioner.from_pretrained(model, precision=precision).caption_files


def _text(caption: Caption | Failure) -> str:
    return str(caption)


def _cells(
    case: str, megabytes: float, first_caption_seconds: float, captions_a_second: float, spread: Sequence[float], equal_captions: float
) -> list[str]:
    figures = [f"{megabytes:.1f} MB", f"{first_caption_seconds:.2f} s", f"{captions_a_second:.1f}", f"[{spread[0]:.1f}, {spread[1]:.1f}]"]
    return [case, *figures, f"{equal_captions:.1%}"]


if __name__ == "__main__":
    main()
