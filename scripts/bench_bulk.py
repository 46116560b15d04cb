"""Throughput of `showattend bulk` by its parts, and what that means for 8, 64 and 512 GPUs.

    python scripts/bench_bulk.py                                   all measurements, random JPEGs of 500x375, MobileNetV2
    python scripts/bench_bulk.py decode network --device cuda      the parts alone, on a machine with a GPU
    python scripts/bench_bulk.py ray --actors 1 2                  Ray with one captioner, then two
    python scripts/bench_bulk.py project --decode-rate 150 --network-rate 2000 --driver-rate 40000

  decode    files to chunks in one process: photos a second and core
  network   decoded chunks to rows: photos a second and captioner
  write     rows to parts on the disk, by the one process that writes
  local     files to parts without Ray (--shard 1/1), with one worker that decodes
  ray       files to parts on a Ray of its own
  driver    units without photos through the same Ray: what the one process that hands out and writes can bear, times UNIT photos
  project   no measurement: the rates of G GPUs by the model below

Model: G captioners of a GPU each, C cores for each GPU, and nodes of K GPUs that read from the store at B bytes a second give

    photos a second = min(G * network, G * C * decode, G / K * B / bytes of a photo, driver)

where driver is the rate of that one process, which larger units raise. Starting takes S seconds once, and
a million photos cost G * price * (S + 1,000,000 / rate). What `project` is not told comes from the measurements of the same call.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench_common import Table, add_device, add_names, draw_photos, make_parser, print_head, write_json

from showattend.bulk.begun import BegunUnits
from showattend.bulk.captioning import ChunkCaptioner
from showattend.bulk.chunks import CaptionedChunk, Row
from showattend.bulk.decoding import UnitDecoder
from showattend.bulk.local import run_local
from showattend.bulk.output import BulkOutput
from showattend.bulk.parts import PartAssembler
from showattend.bulk.ray_cluster import Resources, start_ray
from showattend.bulk.recipe import CaptionerRecipe
from showattend.bulk.tables import Columns
from showattend.bulk.units import Plan, Unit, write_plan
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, make_encoder
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import Pretrained
from showattend.vocabulary import END, Vocabulary

CASES = ["decode", "network", "write", "local", "ray", "driver", "project"]
V, MAX_LENGTH, BATCH = 10_000, 12, 32
UNIT, EMPTY_UNITS = 1024, 200  # photos of a unit by default, and units of the case driver


class Bench:
    """A model with random weights, photos, their plan, and a method for each measurement."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        photos = draw_photos(folder, options.count)
        names = [str(photo) for _ in range(options.repeats) for photo in photos]
        units = [Unit("files", "/", names[start : start + options.unit_size]) for start in range(0, len(names), options.unit_size)]
        write_plan(folder / "plan", units)
        self.plan, self.units, self.photos = Plan(folder / "plan"), units, len(names)
        self.recipe = CaptionerRecipe((random_model(options.encoder),), "0" * 64, precision="32")
        self.config = self.recipe.model.generation
        self.decoder = UnitDecoder(self.recipe.model.preprocessing, Columns(), BATCH)
        self.bytes = statistics.mean(photo.stat().st_size for photo in photos)
        self.rows: list[Row] = []

    def decode(self) -> dict[str, float]:
        """One process reads and decodes one unit."""
        return {"photos_per_s": len(self.units[0].names) / seconds(lambda: list(self.decoder(0, self.units[0])))}

    def network(self) -> dict[str, float]:
        """One captioner on decoded chunks, after a first round that is not counted."""
        caption = ChunkCaptioner(self.recipe.build(self.options.device), self.config, alphas=False)
        chunks = list(self.decoder(0, self.units[0]))
        list(caption(chunks))
        spent = seconds(lambda: self.rows.extend(row for chunk in caption(chunks) for row in chunk.rows))
        return {"photos_per_s": len(self.units[0].names) / spent}

    def write(self) -> dict[str, float]:
        """A part of one unit, synchronised with the disk."""
        rows = (self.rows or [Row(name, "a dog runs on the beach", -1.0, None) for name in self.units[0].names])[: self.options.unit_size]
        with self._output("write") as output:
            return {"photos_per_s": len(rows) / seconds(lambda: output.write(0, rows))}

    def local(self) -> dict[str, float]:
        """Without Ray."""
        captioner = ChunkCaptioner(self.recipe.build(self.options.device), self.config, alphas=False)
        return self._end_to_end("local", lambda: run_local(self.plan.remaining(()), self.decoder, captioner, 1, BegunUnits(None)))

    def ray(self, actors: int) -> dict[str, float]:
        """A Ray that has started already; actors load the network within the time."""
        return self._end_to_end(f"ray-{actors}", lambda: self._run_ray(self.plan, actors))

    def driver(self) -> dict[str, float]:
        """Units without photos."""
        write_plan(self.folder / "empty", [Unit("files", "/")] * EMPTY_UNITS)
        times = [time.perf_counter() for _ in self._run_ray(Plan(self.folder / "empty"), 1)]
        units = (len(times) - 1) / (times[-1] - times[0])
        return {"photos_per_s": units * UNIT, "units_per_s": units}

    def _run_ray(self, plan: Plan, actors: int) -> Iterator[CaptionedChunk]:
        from showattend.bulk.ray_pipeline import run_ray

        resources = Resources(actors, float(self.options.device == "cuda"))
        return run_ray(start_ray(None), plan.remaining(()), self.decoder, self.recipe, self.config, alphas=False, resources=resources)

    def _output(self, name: str) -> BulkOutput:
        return BulkOutput(self.folder / name, {"format": "parquet", "model": "0" * 64, "alphas": False})

    def _end_to_end(self, name: str, run: Callable[[], Any]) -> dict[str, float]:
        """Seconds until the first part, and photos a second from there to the last."""
        assembler, marks = PartAssembler(), []
        started = time.perf_counter()
        with self._output(name) as output:
            for chunk in run():
                if (rows := assembler.add(chunk)) is not None:
                    output.write(chunk.place.unit, rows)
                    marks.append((time.perf_counter(), len(rows)))
        rate = sum(count for _, count in marks[1:]) / (marks[-1][0] - marks[0][0])
        return {"photos_per_s": rate, "seconds_to_first_part": marks[0][0] - started}


def random_model(encoder_name: str) -> Pretrained:
    """Weights that are random, and captions of MAX_LENGTH words."""
    torch.manual_seed(0)
    encoder = make_encoder(EncoderConfig(encoder_name, "none"))
    vocabulary = Vocabulary.build([[f"word{index}" for index in range(V - 4)]])
    decoder = Decoder(DecoderConfig(), vocabulary_size=len(vocabulary), encoder_dim=encoder.channels)
    with torch.no_grad():
        decoder.output.bias[END] = -100.0
    return Pretrained(CaptionModel(encoder, decoder).eval(), vocabulary, Preprocessing(), GenerationConfig(3, MAX_LENGTH))


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def project(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints a row for each number of GPUs; the smallest of the four rates bounds the whole."""
    results = []
    print("\nFor a million photos:")
    table = Table(("GPUs", 6), ("photos/s", 10), ("bounded by", 10), ("minutes", 10), ("price", 10))
    for gpus in (8, 64, 512):
        rates = {
            "network": gpus * options.network_rate,
            "decoding": gpus * options.cores_per_gpu * options.decode_rate,
            "store": gpus / options.gpus_per_node * options.store_gbit * 1e9 / 8 / options.photo_bytes,
            "driver": options.driver_rate,
        }
        bound = min(rates, key=lambda name: rates[name])
        spent = options.start_seconds + 1e6 / rates[bound]
        price = gpus * options.gpu_price * spent / 3600
        table.add(str(gpus), f"{rates[bound]:.0f}", bound, f"{spent / 60:.1f}", f"{price:.2f}")
        results.append({"case": "project", "gpus": gpus, "bound": bound, "minutes": spent / 60, "price": price, **rates})
    return results


def report(name: str, rounds: Sequence[dict[str, float]], table: Table) -> dict[str, Any]:
    """Adds the row of a measurement: the medians."""
    medians = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    more = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in medians.items() if key != "photos_per_s")
    table.add(name, f"{medians['photos_per_s']:.1f}", note=more)
    return {"case": name, **medians}


def measure(cases: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All measurements, with a row for each."""
    table, results = Table(("case", 8), ("photos/s", 10)), []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        for name in cases:
            if name == "ray":
                results += [report(f"ray {count}", [bench.ray(count)], table) for count in options.actors]
            else:
                rounds = 1 if name in ("local", "driver") else options.rounds
                results.append(report(name, [getattr(bench, name)() for _ in range(rounds)], table))
    return results


def make_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = make_parser(__doc__, rounds=3)
    add_names(parser, "case", CASES)
    add_device(parser)
    parser.add_argument("--encoder", default="mobilenet_v2", help="of torchvision (default: %(default)s)")
    parser.add_argument("--count", type=int, default=256, help="different photos (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=16, help="how often each is captioned (default: %(default)s)")
    parser.add_argument("--unit-size", type=int, default=256, help="photos of a part (default: %(default)s)")
    parser.add_argument("--actors", type=int, nargs="+", default=[1], help="captioners of the case ray (default: 1)")
    for name, default, text in (
        ("decode-rate", None, "photos a second and core"),
        ("network-rate", None, "photos a second and GPU"),
        ("driver-rate", None, "photos a second that the command itself can hand out and write"),
        ("start-seconds", 60.0, "until the first part"),
        ("photo-bytes", 100_000.0, "of one file"),
        ("cores-per-gpu", 16.0, "that decode"),
        ("gpus-per-node", 8.0, "of a machine"),
        ("store-gbit", 25.0, "a second between the store and a machine"),
        ("gpu-price", 2.5, "of a GPU for an hour, with its share of the machine"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, metavar="X", help=f"{text} (default: {default or 'as measured'})")
    options = parser.parse_args(arguments)
    if options.count * options.repeats <= options.unit_size:
        parser.error("one part has no rate: give a larger --count or --repeats, or a smaller --unit-size")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each measurement, then the projection."""
    options = make_options(arguments)
    names = options.names or CASES
    print_head(options.device, options.encoder, f"{options.count * options.repeats} photos")
    cases = [name for name in names if name != "project"]
    results = measure(cases, options) if cases else []
    measured = {one["case"].split()[0]: one for one in results}
    options.decode_rate = options.decode_rate or measured.get("decode", {}).get("photos_per_s")
    options.network_rate = options.network_rate or measured.get("network", {}).get("photos_per_s")
    options.driver_rate = options.driver_rate or measured.get("driver", {}).get("photos_per_s")
    if "project" in names:
        if not (options.decode_rate and options.network_rate and options.driver_rate):
            raise SystemExit("project needs --decode-rate, --network-rate and --driver-rate, or their measurements")
        results += project(options)
    write_json(options.json, results, options.device)


if __name__ == "__main__":
    main()
