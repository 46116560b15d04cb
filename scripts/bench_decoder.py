"""How fast is the decoder, against the way most tutorials write it (scripts/yardstick.py) and against the machine's own matrix products?

    OMP_NUM_THREADS=1 python scripts/bench_decoder.py                       all cases, a minute and a half
    python scripts/bench_decoder.py --device cuda                           in CUDA graphs and TF32, 256 photos searched together
    python scripts/bench_decoder.py train-d2048-grouped --profile           where the time of one case goes
    python scripts/bench_decoder.py --yardstick my_package.models:Theirs    against a decoder of yours

Both run in turn in one process on the same weights and the same captions, and the same run checks that losses, gradients and captions are
equal. H = A = E = 512, V = 10,000, L = 196; soft attention, scalar gate, deep output; captions as long as Flickr8k's, up to T = 20.

  train-d2048-same      a training step (forward and backward), D 2048, 40 captions of 40 photos (80 of 80 on a GPU)
  train-d2048-grouped   the same for the five captions of each of 8 photos (16)
  train-d512-grouped    the same with D 512
  beam-d2048, -d512     beam 5, 20 words, 64 photos together (256); the yardstick's time for one photo after the other is taken from two
  beam-d2048-int8       ours with matrices of 8 bits; captions may differ
  memory-t20            by how much one training step raises the peak of memory, D 2048, five captions of 20 words for each of 4 photos
"""

import argparse
import importlib
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from showattend.cells import find_cell
from showattend.decoding import GenerationConfig
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.cuda_graphs import GraphedInference, GraphedTraining
from showattend.ops.linear import linear
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import END, START

L, H, V, T, BEAM = 196, 512, 10_000, 20, 5
PHOTOS, ROWS, SEARCHED, TAKEN = 8, 5, 64, 2
# Of how many times as many photos a GPU sees the captions, or finds them.
ON_A_GPU = {"train": 2, "beam": 4, "memory": 1}
# How many of 1,000 captions of Flickr8k have 4, 5, ... 20 words, `<end>` counted; the few longer ones are cut.
LENGTHS = (4, 11, 29, 65, 85, 97, 110, 113, 103, 92, 77, 62, 44, 33, 22, 17, 36)


class Case(NamedTuple):
    """One line of the table."""

    kind: str  # train, beam or memory
    channels: int  # D
    photos: int
    rows: int  # captions of a photo
    int8: bool = False


CASES = {
    "train-d2048-same": Case("train", 2048, PHOTOS * ROWS, 1),
    "train-d2048-grouped": Case("train", 2048, PHOTOS, ROWS),
    "train-d512-grouped": Case("train", 512, PHOTOS, ROWS),
    "beam-d2048": Case("beam", 2048, SEARCHED, BEAM),
    "beam-d512": Case("beam", 512, SEARCHED, BEAM),
    "beam-d2048-int8": Case("beam", 2048, SEARCHED, BEAM, int8=True),
    "memory-t20": Case("memory", 2048, PHOTOS // 2, ROWS),
}


class Pair(NamedTuple):
    """Ours and the yardstick on the same problem, and what of it is multiplication.

    check: what must be equal is, in what the two have given; a word about it
    flops: of the products that ours cannot do without
    models: ours and the yardstick's
    scale: how many times the yardstick's part is the whole
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    check: Callable[[Any, Any], str]
    flops: float
    models: tuple[nn.Module, nn.Module]
    scale: float = 1.0


def find_case(name: str, device: str) -> Case:
    """A line of the table, as large as the device has it."""
    case = CASES[name]
    return case if device == "cpu" else case._replace(photos=case.photos * ON_A_GPU[case.kind])


def build(case: Case, options: argparse.Namespace) -> tuple[Decoder, nn.Module, Tensor]:
    """Both decoders with the same weights, and annotations."""
    torch.manual_seed(options.seed)
    config = DecoderConfig(dropout=0.0, cell=options.cell, layers=find_cell(options.cell).min_layers)
    decoder = Decoder(config, vocabulary_size=V, encoder_dim=case.channels).to(options.device)
    decoder.attention.compile_kernels()
    module, name = options.yardstick.split(":")
    yardstick: nn.Module = getattr(importlib.import_module(module), name)(case.channels, H, H, H, V).to(options.device)
    if comparable(yardstick, options):
        yardstick.take(decoder)
    return decoder, yardstick, torch.rand(case.photos, L, case.channels, device=options.device)


def comparable(yardstick: nn.Module, options: argparse.Namespace) -> bool:
    """Whether the two can be one model: the yardstick takes weights, and ours is an LSTM as well."""
    return options.cell == "lstm" and hasattr(yardstick, "take")


def per_word(decoder: Decoder, channels: int) -> int:
    """Multiplications for one word in all matrices of the decoder."""
    return sum(p.numel() for p in decoder.cell.parameters() if p.dim() == 2) + 2 * H * H + H * channels + H * V


def captions(case: Case, *, full: bool) -> Tensor:
    """Numbers of words from `<start>` on, (N,G,T+1), long ones first as the data module has them."""
    shares = torch.tensor(LENGTHS, dtype=torch.float)
    lengths = 4 + shares.multinomial(case.photos * case.rows, replacement=True).view(case.photos, case.rows)
    lengths[0, 0] = T
    lengths = torch.full_like(lengths, T) if full else lengths
    lengths = lengths.sort(1, descending=True).values
    lengths = lengths[lengths[:, 0].argsort(descending=True)].unsqueeze(-1)
    words = torch.randint(4, V, (case.photos, case.rows, T + 1))
    words[..., 0] = START
    return words * (torch.arange(T + 1) <= lengths)


def training(case: Case, options: argparse.Namespace, *, full: bool = False) -> Pair:
    """One step of teacher forcing each."""
    decoder, yardstick, encoder_features = build(case, options)
    heard, targets, mask = (part.to(options.device) for part in teacher_forcing_split(captions(case, full=full)))
    # A step whose memory is asked for is not captured: a graph keeps what it has.
    static_shapes = options.device == "cuda" and not full

    def teach(encoder_features: Tensor, heard: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        spoken = decoder(encoder_features, heard, static_shapes=static_shapes)
        return (caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, None if static_shapes else mask)),)

    taught = GraphedTraining(decoder, teach) if static_shapes else teach

    def ours() -> Tensor:
        decoder.zero_grad()
        (loss,) = taught(encoder_features, heard, targets)
        loss.backward()
        return loss

    def theirs() -> Tensor:
        yardstick.zero_grad()
        logits, _ = yardstick(encoder_features.repeat_interleave(case.rows, 0), heard.flatten(0, 1))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)
        loss.backward()
        return loss

    def check(mine: Tensor, yours: Tensor) -> str:
        if not comparable(yardstick, options):
            return "not compared"
        apart = abs(mine.item() - yours.item())
        pairs = ((decoder.attention.key, yardstick.key), (decoder.output, yardstick.output), (decoder.embedding, yardstick.embedding))
        worst = max(float((a.weight.grad - b.weight.grad).norm() / b.weight.grad.norm()) for a, b in pairs)
        # TF32 has ten bits of a number.
        assert apart < (1e-2 if static_shapes else 1e-4), f"the losses differ by {apart}"
        assert worst < (5e-2 if static_shapes else 1e-3), f"the gradients differ by {worst:.1e} of their size"
        return f"loss equal to {apart:.0e}, gradients to {worst:.0e}"

    words, channels = int(mask.sum()), case.channels
    products = per_word(decoder, channels) + 2 * L * channels
    # Forward, gradient of the weights, gradient of what they multiply; that of the annotations is not wanted.
    return Pair(ours, theirs, check, 2 * (3 * words * products + 2 * case.photos * L * channels * H), (decoder, yardstick))


def searching(case: Case, options: argparse.Namespace) -> Pair:
    """Beam search over all photos together, and over some of them one by one."""
    decoder, yardstick, encoder_features = build(case, options)
    for model in (decoder, yardstick):
        model.eval()
        with torch.no_grad():
            model.output.bias[END] = -100.0  # all captions have 20 words
    network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
    inference_decoder = network.inference_decoder(int8=case.int8)

    def find(encoder_features: Tensor) -> tuple[Tensor, ...]:
        return network.caption(Features(encoder_features), GenerationConfig(BEAM, T, 0.0), inference_decoder)

    found = GraphedInference(find) if options.device == "cuda" else find

    @torch.inference_mode()
    def ours() -> Tensor:
        return found(encoder_features)[0][:, 0]

    def theirs() -> list[list[int]]:
        return [yardstick.caption(encoder_features[photo : photo + 1], BEAM, T) for photo in range(TAKEN)]

    def check(mine: Tensor, yours: list[list[int]]) -> str:
        if not comparable(yardstick, options):
            return "not compared"
        same = sum(one == other for one, other in zip(mine[:TAKEN].tolist(), yours, strict=True))
        assert case.int8 or options.device == "cuda" or same == TAKEN, f"only {same} of {TAKEN} captions are equal"
        return f"{same} of {TAKEN} captions equal"

    rows, channels = case.photos * (1 + BEAM * (T - 1)), case.channels
    products = per_word(decoder, channels) - decoder.cell.matrix(0).numel() + L * channels  # a table has the words' share
    return Pair(ours, theirs, check, 2 * (rows * products + case.photos * L * channels * H), (decoder, yardstick), case.photos / TAKEN)


def peak_of_a_step(mine: bool, case: Case, options: argparse.Namespace) -> tuple[int, float]:
    """Bytes by which one step raises the peak of this process, all gradients made before; and its seconds."""
    torch.set_num_threads(options.threads)
    pair = training(case, options, full=True)
    run = pair.ours if mine else pair.theirs
    small = training(Case("train", case.channels, 2, 2), options, full=True)
    (small.ours if mine else small.theirs)()  # compiles
    for parameter in pair.models[not mine].parameters():
        parameter.grad = torch.ones_like(parameter)
    return raised_by(run, options.device)


def raised_by(run: Callable[[], Any], device: str) -> tuple[int, float]:
    """Bytes by which it raises the peak of this process, or of the GPU's memory; and its seconds."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        seconds = timed(run, device)[1]
        return torch.cuda.max_memory_allocated() - before, seconds
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again here
    seconds = timed(run, device)[1]
    return _peak() - before, seconds


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def best_peak(device: str) -> float:
    """Products of float32 that the machine does in a second, the best of what torch has."""
    one, other = torch.rand(2048, 2048, device=device), torch.rand(2048, 2048, device=device)
    times = []
    for multiply in (torch.mm, linear):
        for _ in range(4):
            times.append(_seconds(lambda multiply=multiply: multiply(one, other), device))
    return float(2 * 2048**3 / min(times))


def timed(run: Callable[[], Any], device: str) -> tuple[Any, float]:
    """What it gives, and its seconds."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    found = run()
    wait()
    return found, time.perf_counter() - started


def _seconds(run: Callable[[], Any], device: str) -> float:
    return timed(run, device)[1]


def measure(name: str, options: argparse.Namespace, peak: float) -> dict[str, Any]:
    """One case: medians in turn, ratio, share of the peak."""
    case = find_case(name, options.device)
    if case.kind == "memory":
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            (mine, ours), (yours, theirs) = (pool.apply(peak_of_a_step, (who, case, options)) for who in (True, False))
        flops = training(case, options, full=True).flops
        found = {"ratio": yours / mine, "ours_bytes": mine, "yardstick_bytes": yours, "ours_s": ours, "yardstick_s": theirs}
        note = f"{mine / 2**20:.0f} MiB for {yours / 2**20:.0f} MiB"
        return {"case": name, **found, "peak_fraction": flops / ours / peak, "note": note}
    pair = (training if case.kind == "train" else searching)(case, options)
    for _ in range(2):
        found = pair.ours()  # compiles, captures, and makes the table of words
    if options.device == "cuda" or (case.kind == "train" and case.channels == 512):
        pair.theirs()  # finds its memory: what is small enough stays with it, and only the first time pays for its pages
    note = ""
    mine, theirs = [], []
    for _ in range(options.rounds):
        mine.append(_seconds(pair.ours, options.device))
        yours, seconds = timed(pair.theirs, options.device)
        theirs.append(pair.scale * seconds)
        note = note or pair.check(found, yours)
        mine.append(_seconds(pair.ours, options.device))
    ours, yardstick = statistics.median(mine), statistics.median(theirs)
    spread = {"ours_spread": [min(mine), max(mine)], "yardstick_spread": [min(theirs), max(theirs)]}
    times = {"ratio": yardstick / ours, "ours_s": ours, "yardstick_s": yardstick, **spread}
    return {"case": name, **times, "peak_fraction": pair.flops / ours / peak, "note": note}


def profile(name: str, options: argparse.Namespace) -> None:
    """Where the time of one step of ours goes."""
    case = find_case(name, options.device)
    pair = searching(case, options) if case.kind == "beam" else training(case, options)
    for _ in range(3):
        pair.ours()
    with torch.profiler.profile() as found:
        pair.ours()
    own = f"self_{'device' if options.device == 'cuda' else 'cpu'}_time_total"
    spent = sorted(((getattr(event, own), event.count, event.key) for event in found.key_averages()), reverse=True)
    total = sum(took for took, _, _ in spent)
    print(f"\n{name}: {total / 1e3:.0f} ms")
    for took, count, what in spent[:15]:
        print(f"  {took / total:6.1%}  {took / 1e3:8.1f} ms  {count:5} x  {what[:60]}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="of the list above (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--cell", default="lstm", help="ours; any but the yardstick's LSTM is timed and not compared (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="laps: ours, the yardstick, ours (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and captions (default: %(default)s)")
    parser.add_argument("--yardstick", default="yardstick:Yardstick", metavar="PATH", help="another decoder, see scripts/yardstick.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a list of objects there")
    parser.add_argument("--profile", action="store_true", help="show where the time of ours goes, and compare nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case '{unknown[0]}': choose from {', '.join(CASES)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU here: leave --device out")
    torch.set_num_threads(options.threads)
    on_cpu = options.device == "cpu"
    names = options.cases or [name for name, case in CASES.items() if on_cpu or not case.int8]
    if not on_cpu:
        torch.set_float32_matmul_precision("high")
    if options.profile:
        for name in names:
            profile(name, options)
        return
    peak = best_peak(options.device)
    print(f"{options.device}, {options.threads} threads, torch {torch.__version__}, products at {peak / 1e9:.0f} GFLOP/s; medians")
    print(f"{'case':21} {'yardstick':>10} {'ours':>9} {'ratio':>7} {'of peak':>8}")
    results = []
    for name in tqdm(names, unit=" cases", disable=None):
        results.append(found := measure(name, options, peak))
        times = f"{found['yardstick_s']:8.2f} s {found['ours_s'] * 1e3:6.1f} ms"
        tqdm.write(f"{name:21} {times} {found['ratio']:6.1f}x {found['peak_fraction']:8.0%}  {found['note']}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
