"""`showattend bulk`: millions of photos, on one machine or a cluster, into a folder of Parquet or JSON lines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showattend.cli.from_args import generation_config_from_args, model_folders_from_args
from showattend.cli.options import (
    Commands,
    add_ensemble_options,
    add_generation_options,
    add_speed_options,
    part_of_parts,
    whole_number,
)
from showattend.cli.stopping import in_one_line
from showattend.console import print_error, print_line
from showattend.errors import InputError

if TYPE_CHECKING:
    from showattend.bulk.begun import BegunUnits
    from showattend.bulk.chunks import CaptionedChunk
    from showattend.bulk.decoding import UnitDecoder
    from showattend.bulk.listing import Source
    from showattend.bulk.output import BulkOutput
    from showattend.bulk.recipe import CaptionerRecipe
    from showattend.bulk.units import Plan, RemainingUnits
    from showattend.generation_config import GenerationConfig

DESCRIPTION = """\
Caption a folder, a glob, a list of names, Parquet files or WebDataset shards, here or on any store that fsspec opens (s3://, gs://, hf://),
on this machine or a Ray cluster. A photo that cannot be read is a row with its error. Whatever ends the work, finished parts are kept, and
the same command goes on from there.
"""


def add_parser(commands: Commands) -> None:
    """The options of `showattend bulk`."""
    bulk = commands.add_parser("bulk", help="caption millions of photos, on one machine or a cluster", description=DESCRIPTION)
    bulk.add_argument("input", metavar="INPUT", help="folder, glob, list of names (.txt), .parquet or .tar files; a path or a URL")
    bulk.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the parts; of one that is not finished the rest")
    add_ensemble_options(bulk)
    bulk.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="of the parts (default: %(default)s)")
    bulk.add_argument("--alphas", action="store_true", help="write attention's weights at each word too, and their grid")
    bulk.add_argument(
        "--kind",
        choices=("auto", "files", "list", "parquet", "webdataset"),
        default="auto",
        help="what the input is made of (default: auto, by the suffix of its first file)",
    )
    bulk.add_argument("--column", metavar="NAME", help="of the photos, or of their names, in Parquet files (default: image, url, …)")
    bulk.add_argument("--id-column", metavar="NAME", help="of the photos' ids in Parquet files (default: names, or files and rows)")
    bulk.add_argument(
        "--unit-size", type=whole_number(1), default=1024, metavar="N", help="photos of a part; a shard is one part (default: %(default)s)"
    )
    bulk.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster, or auto (default: a Ray of its own on this machine)")
    bulk.add_argument(
        "--concurrency", type=whole_number(1), metavar="N", help="captioners at work (default: one a GPU, or one for two processors)"
    )
    bulk.add_argument(
        "--shard",
        type=part_of_parts,
        metavar="I/N",
        help="without Ray: the I-th of N shares of the work, for job arrays; all write into one --output",
    )
    add_speed_options(bulk)
    add_generation_options(bulk, one_caption=True)
    bulk.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Caption all units of the plan that have no part yet; photos that cannot be read are rows with their errors."""
    from showattend.bulk.listing import Source
    from showattend.bulk.output import BulkOutput
    from showattend.bulk.recipe import load_recipe
    from showattend.bulk.tables import Columns, require_pyarrow

    _check_options(args)
    if args.format == "parquet":
        require_pyarrow()
    recipe = load_recipe(
        model_folders_from_args(args),
        trust=tuple(args.trust),
        attention_mode=args.attention_mode,
        precision=args.precision or "auto",
        fuse=args.fuse or "auto",
    )
    config = generation_config_from_args(recipe, args)
    source = Source(args.input, args.kind, Columns(args.column, args.id_column), args.unit_size)
    with BulkOutput(args.output, _settings(args, recipe, config), args.shard or (1, 1)) as output:
        plan = output.plan(source, print_error)
        return _caption(args, output, plan, source, recipe, config)


def _check_options(args: argparse.Namespace) -> None:
    if not model_folders_from_args(args):
        raise InputError("no model: give --model DIR, or --ensemble DIR DIR …")
    if re.match(r"[A-Za-z][\w+.-]+:/", str(args.output)):  # of whose two slashes a path keeps one
        raise InputError(f"--output {args.output} is no folder of a file system: write into one, and copy its parts to the store")
    for option in ("address", "concurrency"):
        if args.shard and getattr(args, option) is not None:
            raise InputError(f"--{option} is an option of Ray, and --shard works without it: leave one of them out")


def _settings(args: argparse.Namespace, recipe: CaptionerRecipe, config: GenerationConfig) -> dict[str, Any]:
    """All that the captions and the plan depend on."""
    names = ("input", "kind", "column", "id_column", "unit_size", "format", "alphas")
    model = {"model": recipe.digest, "precision": recipe.precision, "attention_mode": recipe.attention_mode}
    return {**{name: getattr(args, name) for name in names}, **model, "generation": asdict(config)}


def _caption(
    args: argparse.Namespace, output: BulkOutput, plan: Plan, source: Source, recipe: CaptionerRecipe, config: GenerationConfig
) -> int:
    from showattend.bulk.decoding import UnitDecoder

    units = plan.remaining(output.finished(), output.shard)
    all_units = plan.remaining((), output.shard)
    ours = len(all_units)
    if len(units) < ours:
        print_error(f"{ours - len(units)} of {ours} parts are in {output.folder} already")
    if not units:
        return 0
    recipe = recipe._replace(photos=all_units.num_photos(args.unit_size))  # with those of an earlier run, which must have decided alike
    decoder = UnitDecoder(recipe.model.preprocessing, source.columns, args.batch_size)
    try:
        _write(_chunks(args, units, decoder, recipe, config, output.begun), output, len(units))
    except BaseException as error:
        _explain(error, output, ours)
        raise
    return 0


def _chunks(
    args: argparse.Namespace,
    units: RemainingUnits,
    decoder: UnitDecoder,
    recipe: CaptionerRecipe,
    config: GenerationConfig,
    begun: BegunUnits,
) -> Iterator[CaptionedChunk]:
    """The rows of units, by Ray or without it."""
    if args.shard:
        from showattend.bulk.captioning import ChunkCaptioner
        from showattend.bulk.local import run_local

        captioner = ChunkCaptioner(recipe.build(args.device, config), config, args.alphas)
        return run_local(units, decoder, captioner, args.workers, begun)
    from showattend.bulk.ray_cluster import choose_resources, start_ray

    ray = start_ray(args.address)
    from showattend.bulk.ray_pipeline import run_ray

    resources = choose_resources(ray, args.concurrency, args.device)
    recipe = recipe._replace(photos=recipe.photos // resources.actors)
    return run_ray(ray, units, decoder, recipe, config, alphas=args.alphas, resources=resources)


def _write(chunks: Iterator[CaptionedChunk], output: BulkOutput, count: int) -> None:
    """Write each unit's part as soon as it is whole."""
    from tqdm import tqdm

    from showattend.bulk.parts import PartAssembler

    assembler, photos, broken = PartAssembler(), 0, 0
    with tqdm(total=count, unit=" parts", disable=None) as bar:
        for chunk in chunks:
            if (rows := assembler.add(chunk)) is not None:
                output.write(chunk.place.unit, rows)
                photos, broken = photos + len(rows), broken + sum(row.error is not None for row in rows)
                bar.set_postfix_str(f"{photos} photos", refresh=False)
                bar.update()
    print_line(f"{output.parts}: photos {photos}, parts {count}" + (f"; {broken} could not be read, see their errors" if broken else ""))


def _explain(error: BaseException, output: BulkOutput, ours: int) -> None:
    """Say beside the reason of an early end what is kept."""
    kept = f"{len(output.finished())} parts are kept in {output.folder}: the same command goes on from there"
    if isinstance(error, KeyboardInterrupt):
        error.args = (kept,)
    elif isinstance(error, Exception) and (message := in_one_line(error)) is not None:
        raise InputError(f"{message}; {kept}") from error
    else:
        print_error(kept)
