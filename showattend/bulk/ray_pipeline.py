"""Units through Ray Data: tasks on processors read and decode, a pool of actors runs the network, and the rows come back to one process.

That process alone writes, so that only its machine needs the output folder. Ray repeats what a dead worker, actor or machine had not
delivered; what is delivered twice is counted once by its place. Ray Data holds tasks back while the chunks that wait fill its store.
"""

import logging
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from showattend.bulk.chunks import CaptionedChunk
from showattend.bulk.decoding import UnitDecoder
from showattend.bulk.ray_chunks import binary, unpack_captioned
from showattend.bulk.ray_cluster import Resources
from showattend.bulk.ray_workers import CaptionActor, UnitAttempts, decode_units
from showattend.bulk.recipe import CaptionerRecipe
from showattend.bulk.units import RemainingUnits
from showattend.errors import InputError
from showattend.generation_config import GenerationConfig

UNITS_PER_WORKER = 1000  # that a process decodes before another takes its place, with whatever memory libraries of pictures lose
ACTOR_DEATHS = 20  # in a row before the first photo: machines may die while an actor loads the network
BLOCK_BYTES = 2**25  # that a task sends on together: the network can begin long before a unit is decoded


def run_ray(
    ray: Any,
    units: RemainingUnits,
    decoder: UnitDecoder,
    recipe: CaptionerRecipe,
    config: GenerationConfig,
    *,
    alphas: bool,
    resources: Resources,
) -> Iterator[CaptionedChunk]:
    """Caption units, by their numbers and lines of the plan; chunks come as they are ready.

    Raises:
        InputError: Ray gives up.
    """
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = BLOCK_BYTES
    context.max_consecutive_actor_init_deaths = ACTOR_DEATHS
    for handler in logging.getLogger("ray.data").handlers:  # not the files of its session
        if type(handler).__name__ == "PlainRayHandler":
            handler.setLevel(logging.CRITICAL)
    context.enable_progress_bars = context.print_on_execution_start = False
    dataset = ray.data.from_arrow([pa.table({"unit": [index], "line": binary(zlib.compress(line))}) for index, line in units])
    attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(UnitAttempts).remote()
    # Where two steps have the same options, Ray Data joins them: actors would decode.
    decoded = dataset.map_batches(
        decode_units, fn_args=[decoder, attempts], batch_size=1, batch_format="pyarrow", num_cpus=1, max_calls=UNITS_PER_WORKER
    )
    captioned = decoded.map_batches(
        CaptionActor,
        fn_constructor_args=[ray.put(recipe), config, alphas, "cuda" if resources.gpus else "cpu"],
        compute=ray.data.ActorPoolStrategy(size=resources.actors),
        batch_size=None,
        batch_format="pyarrow",
        num_gpus=resources.gpus or None,
        num_cpus=None if resources.gpus else 1,
    )
    try:
        for batch in captioned.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from unpack_captioned(batch)
    except ray.exceptions.RayError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise InputError(f"Ray gave up ({reason[:200]}): see the logs in /tmp/ray/session_latest/logs") from error
