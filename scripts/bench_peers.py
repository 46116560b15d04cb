"""Speed against a program that people use: a stranger's decoder by its import path and folder, and Hugging Face's generate.

    python scripts/bench_peers.py --folder DIR --decoder models:DecoderWithAttention       a clone of a tutorial, say
    python scripts/bench_peers.py --folder DIR --decoder models:Theirs --search search:beam_search --set pretrained=false
    python scripts/bench_peers.py files --threads 2                                        against Hugging Face alone

  train-same       a training step (forward and backward) of one caption for each of 40 images
  train-grouped    the same for the five captions of each of 8 images
  beam             beam 5, 20 tokens, 64 images together; the stranger searches two of them, scaled to all
  files            captions of JPEG files of 500x375 by beam 3, 12 tokens, with random weights: ours (ResNet-101, 14x14), and a
                   VisionEncoderDecoderModel of like size by its own image processor and `generate` (pip install transformers)

Nothing of the stranger's is changed. Its constructor's arguments are recognised by their names (--set NAME=VALUE gives others); forward
takes features (B,L,D) and captions (B,T), and lengths where it wants them. Its weights are copied into ours by their shapes, and the same
run checks that losses, and captions of greedy search by its forward, are equal. Where they are another model than ours (an attention with
ReLU for tanh, say), the table says so, and the times are of the same sizes all the same. Search: its method `caption(features, beam,
max_length)`, or a function of --search with the decoder before these arguments; both get one image and return token ids.
Without --folder the stranger is scripts/plain_decoder.py. Weights are random. A stranger's program runs here as it is: know it first.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import yaml
from bench_common import Table, add_names, add_threads_and_seed, draw_photos, make_parser, print_head, random_lengths, timed, write_json
from bench_peers_files import hugging_face_captioner, our_captioner
from bench_peers_match import Match, make_ours, match, our_loss, with_tanh
from bench_peers_stranger import Sizes, build, find, greedy, loss_of
from torch import Tensor, nn

from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.models.inputs import Features
from showattend.vocabulary import END, START

PRECISIONS = {"32": None, "bf16": torch.bfloat16}
CASES = ("train-same", "train-grouped", "beam", "files")
CAPTIONS, BEAM, CHECKED = 5, 5, 2  # captions of an image, beams, images whose captions are compared


class Peers:
    """A stranger's decoder and ours, with equal weights where they are one model."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.options, self.sizes = options, options.sizes
        decoder, given = find(options.folder, options.decoder), dict(options.set)
        self.match: Match = match(decoder, given)
        self.theirs = build(decoder, self.sizes, given)
        self.search = find(options.folder, options.search) if options.search else getattr(type(self.theirs), "caption", None)
        if self.match.variant:
            self.ours = make_ours(self.theirs, self.match.layers, self.sizes, self.match.variant)
        else:
            config = DecoderConfig(embedding_size=self.sizes.E, hidden_size=self.sizes.H, attention_size=self.sizes.A, dropout=0.0)
            self.ours = Decoder(config, vocabulary_size=self.sizes.V, encoder_dim=self.sizes.D)
        if options.fuse == "always":
            self.ours.attention.compile_kernels()

    def features(self, images: int) -> Tensor:
        """Random maps (N,L,D)."""
        return torch.rand(images, self.options.locations, self.sizes.D)

    def captions(self, images: int, each: int) -> Tensor:
        """Random captions from `<start>` to `<end>` as long as Flickr8k's, the longest ones first, (N,G,T+1)."""
        T = self.options.length
        lengths = random_lengths(images, each).clamp(max=T)
        lengths[0, 0] = T
        lengths = lengths.sort(1, descending=True).values
        lengths = lengths[lengths[:, 0].argsort(descending=True)].unsqueeze(-1)
        token_ids = torch.randint(4, self.sizes.V, (images, each, T + 1))
        token_ids[..., 0] = START
        positions = torch.arange(T + 1)
        return torch.where(positions == lengths, END, token_ids) * (positions <= lengths)

    def train(self, images: int, each: int) -> tuple[list[float], list[float], str]:
        """Seconds of steps by them and by us, and what the check says."""
        features, token_ids = self.features(images), self.captions(images, each)
        rows, flat, mixed = features.repeat_interleave(each, 0), token_ids.flatten(0, 1), PRECISIONS[self.options.precision]

        def theirs() -> None:
            self.theirs.zero_grad()
            loss_of(self.theirs, rows, flat).backward()

        def ours() -> None:
            self.ours.zero_grad()
            with torch.autocast("cpu", mixed, enabled=mixed is not None):
                loss = our_loss(self.ours, features, token_ids)
            loss.backward()

        note = self.check(features, token_ids)
        return *self.in_turn(theirs, ours), note

    def check(self, features: Tensor, token_ids: Tensor) -> str:
        """Compare losses and greedy captions in float32."""
        if self.match.variant is None:
            return self.match.reason
        theirs = with_tanh(self.theirs).eval() if self.match.variant.with_tanh else self.theirs.eval()
        with torch.no_grad():
            rows, flat = features.repeat_interleave(token_ids.shape[1], 0), token_ids.flatten(0, 1)
            difference = abs(float(loss_of(theirs, rows, flat)) - float(our_loss(self.ours, features, token_ids)))
        assert difference < 1e-3, f"the losses differ by {difference}"
        length = self.options.length // 2
        captions = self.our_search(self.ours.eval(), features[:CHECKED], GenerationConfig(1, length, 0.0))
        equal = sum(one == other for one, other in zip(captions, greedy(theirs, features[:CHECKED], length), strict=True))
        tanh = ", with tanh for their ReLU" if self.match.variant.with_tanh else ""
        self.theirs.train()
        self.ours.train()
        return f"loss equal to {difference:.0e}, {equal} of {len(captions)} greedy captions{tanh}"

    def our_search(self, decoder: nn.Module, features: Tensor, config: GenerationConfig, precision: str = "32") -> list[list[int]]:
        """The best caption of each image."""
        network = CaptionModel(nn.Identity(), decoder)  # type: ignore[arg-type]
        found = network.caption(Features(features), config, network.inference_decoder(PRECISIONS[precision])).token_ids[:, 0].tolist()
        return [caption[: caption.index(END)] if END in caption else [token for token in caption if token] for caption in found]

    def beam(self, images: int) -> tuple[list[float], list[float], str]:
        """Seconds of a search by them and by us, and whether the captions are equal."""
        features, length = self.features(images), self.options.length
        self.theirs.eval()
        self.ours.eval()
        results: dict[str, list[list[int]]] = {}

        @torch.no_grad()
        def theirs() -> None:
            found = [self.search(self.theirs, one.unsqueeze(0), BEAM, length) for one in features[:CHECKED]]
            results["theirs"] = [[int(token) for token in caption if int(token) not in (START, END)] for caption in found]

        def ours() -> None:
            results["ours"] = self.our_search(self.ours, features, GenerationConfig(BEAM, length, 0.0), self.options.precision)

        seconds, our_seconds = self.in_turn(theirs, ours)
        equal = sum(one == other for one, other in zip(results["ours"][:CHECKED], results["theirs"], strict=True))
        exact = self.match.variant is not None and not self.match.variant.with_tanh
        note = f"{equal} of {CHECKED} captions equal" if exact else self.match.reason or "not compared: their attention has ReLU"
        return [one * images / CHECKED for one in seconds], our_seconds, note

    def in_turn(self, theirs: Callable[[], None], ours: Callable[[], None]) -> tuple[list[float], list[float]]:
        """The seconds of both, once each in every round, after one run of each that is not timed: compilers, caches, memory."""
        theirs()
        ours()
        rounds = [(timed(theirs)[1], timed(ours)[1]) for _ in range(self.options.rounds)]
        return [one for one, _ in rounds], [other for _, other in rounds]


def time_files(options: argparse.Namespace) -> tuple[list[float], list[float], str]:
    """Seconds for the captions of files by Hugging Face's model and by ours.

    Raises:
        InputError: transformers is not installed.
    """
    theirs, their_size = hugging_face_captioner(options.sizes.V, tiny=options.tiny)
    ours, our_size = our_captioner(options.sizes, tiny=options.tiny, precision=options.precision, fuse=options.fuse)
    with tempfile.TemporaryDirectory() as folder:
        photos = draw_photos(Path(folder), options.photos)
        theirs(photos)  # as ours, not timed the first time
        ours(photos)  # compiles
        rounds = [(timed(lambda: theirs(photos))[1], timed(lambda: ours(photos))[1]) for _ in range(options.rounds)]
    rates = " for ".join(f"{len(photos) / statistics.median(seconds):.1f}" for seconds in zip(*rounds, strict=True))
    note = f"{rates} captions a second, {their_size / 1e6:.0f} for {our_size / 1e6:.0f} million parameters"
    return [one for one, _ in rounds], [other for _, other in rounds], note


def measure(name: str, peers: Peers | None, options: argparse.Namespace) -> tuple[list[float], list[float], str]:
    """Their seconds, ours, and a note."""
    if peers is None:
        return time_files(options)
    if name == "beam":
        if peers.search is None:
            raise InputError("the stranger has no search: name a function with --search MODULE:FUNCTION")
        return peers.beam(options.images * 8)
    return peers.train(*((options.images * CAPTIONS, 1) if name == "train-same" else (options.images, CAPTIONS)))


def sizes(text: str) -> Sizes:
    """The type of --sizes."""
    try:
        return Sizes(**{name: int(value) for name, _, value in (entry.partition("=") for entry in text.split(","))})
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give sizes such as D=2048,H=512,A=512,E=512,V=10000") from error


def setting(text: str) -> tuple[str, Any]:
    """The type of --set."""
    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = make_parser(__doc__, rounds=1)
    add_names(parser, "case", CASES)
    add_threads_and_seed(parser)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of the stranger's program")
    parser.add_argument("--decoder", default="plain_decoder:PlainDecoder", metavar="MODULE:CLASS", help="(default: %(default)s)")
    parser.add_argument("--search", metavar="MODULE:FUNCTION", help="the stranger's, where it is no method `caption`")
    parser.add_argument(
        "--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="an argument of the stranger's class"
    )
    parser.add_argument("--sizes", type=sizes, default=Sizes(), metavar="D=N,…", help="D, H, A, E, V (default: 2048, 512, 512, 512, 10000)")
    parser.add_argument("--locations", type=int, default=196, help="of a feature map (default: %(default)s)")
    parser.add_argument("--length", type=int, default=20, help="tokens of the longest caption (default: %(default)s)")
    parser.add_argument("--images", type=int, default=8, help="of a training step with five captions each (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=64, help="files (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="networks for `files` that only show that all works")
    parser.add_argument("--precision", default="32", choices=PRECISIONS, help="of the products of ours (default: %(default)s)")
    parser.add_argument("--fuse", default="always", choices=("never", "always"), help="compile the loops of ours (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    names = options.names or list(CASES)
    try:
        peers = Peers(options) if set(names) - {"files"} else None
    except InputError as error:
        parser.error(str(error))
    print_head("cpu", options.decoder, f"ours in precision {options.precision}")
    table, results = Table(("case", 16), ("theirs", 10), ("ours", 10), ("ratio", 8)), []
    for name in names:
        try:
            theirs, ours, note = measure(name, None if name == "files" else peers, options)
        except InputError as error:
            table.add(name, note=f"skipped: {error}")
            continue
        medians = statistics.median(theirs), statistics.median(ours)
        ratio = medians[0] / medians[1]
        table.add(name, f"{medians[0]:.2f} s", f"{medians[1]:.3f} s", f"{ratio:.1f}x", note=note)
        results.append({"case": name, "peer": "transformers" if name == "files" else options.decoder, "ratio": ratio})
        results[-1] |= {"theirs_s": medians[0], "ours_s": medians[1], "note": note}
    write_json(options.json, results)


if __name__ == "__main__":
    main()
