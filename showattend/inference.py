"""Captions for photos: one, a list, or as many as a disk holds."""

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from showattend.attention import HardAttention
from showattend.cells import recording_gates
from showattend.decoding import GenerationConfig, Hypotheses, ensemble_step, generate
from showattend.encoders.feature_extractor import EncoderOutput, FeatureExtractor, prefetch_one
from showattend.errors import InputError
from showattend.features.cache import DecodedPhotos
from showattend.geometry import Box
from showattend.models.inputs import Features, Pixels
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split, unflatten_tokens
from showattend.ops.cuda_graphs import GraphedInference
from showattend.pretrained import Pretrained, load_pretrained
from showattend.vocabulary import PAD, tokenize

# Of each model of an ensemble, what gives the annotations of the same photos when they are wanted.
Looks = list[Callable[[], EncoderOutput]]


@dataclass(frozen=True)
class Caption:
    """A caption and where its words came from.

    Attributes:
        words: T words
        score: log-probability of the caption, divided by its length ** length_penalty
        alphas: weights on the locations at each word, (T,L); each row sums to 1, less what adaptive attention spends on looking away
        grid_shape: rows and columns of the locations, row by row from the top left
        crop_box: the part of the photo that the network sees: left, upper, right, lower, in the photo's pixels
        grid_box: what the grid covers, each location in the middle of its cell; it may extend beyond `crop_box`
        alternatives: the next best captions of the photo, as many as the search asks for
    """

    words: list[str]
    score: float
    alphas: Tensor
    grid_shape: tuple[int, int]
    crop_box: Box
    grid_box: Box
    alternatives: list["Caption"] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(self.words)


class CaptionScore(NamedTuple):
    """How probable a given caption is.

    caption: the words, the alphas that would have led to them, and as score their log-probability in all, `<end>` included
    log_probs: of each word and of `<end>`, in nats, (T+1,)
    unknown: words that the model has never learned; their log-probability is that of `<unk>`
    """

    caption: Caption
    log_probs: Tensor
    unknown: list[str]


class Failure(NamedTuple):
    """A photo that could not be captioned, with the reason."""

    reason: str


class Captioner:
    """A trained model, ready to caption.

    >>> Captioner.from_pretrained("runs/demo/model").caption("photo.jpg").words      # doctest: +SKIP
    ['a', 'red', 'star', 'above', 'a', 'white', 'cross']
    """

    def __init__(
        self,
        model: Pretrained,
        device: str | torch.device | None = None,
        *,
        ensemble: Sequence[Pretrained] = (),
        attention_mode: str | None = None,
        fuse: bool = False,
        int8: bool = False,
    ) -> None:
        self.model = model
        self.models = (model, *ensemble)
        for other in ensemble:
            if other.vocabulary != model.vocabulary:
                raise InputError("the models of the ensemble have different vocabularies: take models that were trained on the same words")
            if other.preprocessing != model.preprocessing:
                raise InputError(f"the models of the ensemble see photos differently: {model.preprocessing}, {other.preprocessing}")
        if attention_mode is not None:
            for one in self.models:
                _look(one, attention_mode)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        for one in self.models:
            one.network.to(self.device).eval()
            if fuse:
                one.network.fuse()
        self.extractors = [FeatureExtractor(one.network.encoder) for one in self.models]
        self.decoders = [one.network.inference_decoder(int8=int8) for one in self.models]
        # Searches captured in CUDA graphs; none where nothing is captured.
        self.replays: dict[GenerationConfig, GraphedInference] | None = (
            {} if fuse and self.device.type == "cuda" and all(self.decoders) else None
        )

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        device: str | torch.device | None = None,
        *,
        ensemble: Sequence[Path | str] = (),
        attention_mode: str | None = None,
        fuse: bool = False,
        int8: bool = False,
    ) -> "Captioner":
        """Load a model folder.

        Args:
            ensemble: folders of more models, whose probabilities are averaged with the first one's
            attention_mode: expected, argmax or sample, for a model with hard attention; None: as it was trained to
            fuse: compile what can be compiled, which pays from a thousand photos on
            int8: find captions with matrices of 8 bits, faster and a little less exactly

        Raises:
            InputError: see `load_pretrained`; a mode for a model that has none; models that do not fit together; no fusing or 8 bits here.
        """
        others = [load_pretrained(Path(other)) for other in ensemble]
        return cls(load_pretrained(Path(folder)), device, ensemble=others, attention_mode=attention_mode, fuse=fuse, int8=int8)

    def caption(self, photo: Path | str | Image.Image, search: GenerationConfig | None = None) -> Caption:
        """Caption one photo, a file or an open picture.

        Raises:
            InputError: the file holds no readable picture.
        """
        if isinstance(photo, Image.Image):
            image = ImageOps.exif_transpose(photo).convert("RGB")
            images = self.model.preprocessing(image).unsqueeze(0)
            return self._captions(images, [image.size], self._look(images), search)[0]
        ((_, result),) = self.caption_files([Path(photo)], search)
        if isinstance(result, Failure):
            raise InputError(result.reason)
        return result

    def gates(self, photo: Path | str, search: GenerationConfig | None = None) -> tuple[Caption, list[dict[str, Tensor]]]:
        """Caption a photo file, and watch the gates of the cell while the caption is said.

        Returns:
            caption: T words
            gates: for each layer of cells, the lowest first, names and values (T,H) at the step that made each word

        Raises:
            InputError: the file holds no readable picture.
        """
        caption = self.caption(photo, search)
        image, _ = self.model.preprocessing.load(Path(photo))
        words = torch.tensor(self.model.vocabulary.encode(caption.words)[:-2], device=self.device)  # heard, <start> first
        with torch.inference_mode(), recording_gates(self.model.network) as layers:
            self.model.network(Pixels(image.unsqueeze(0).to(self.device)), words.view(1, 1, -1))
        return caption, [
            {name: torch.cat([gates[name] for gates in steps]).cpu() for name in steps[0]} if steps else {} for steps in layers
        ]

    def score(self, photo: Path | str, captions: Sequence[str]) -> list[CaptionScore]:
        """How probable these captions are for a photo file, and where the model would look if it said them.

        Raises:
            InputError: the file holds no readable picture, or a caption has no words.
        """
        spoken = [tokenize(caption) for caption in captions]
        for caption, words in zip(captions, spoken, strict=True):
            if not words:
                raise InputError(f"the caption '{caption}' has no words")
        return self.score_words(photo, spoken)

    def score_words(self, photo: Path | str, spoken: Sequence[list[str]]) -> list[CaptionScore]:
        """As `score`, of captions that are words already.

        Raises:
            InputError: the file holds no readable picture.
        """
        image, size = self.model.preprocessing.load(Path(photo))
        rows = [torch.tensor(self.model.vocabulary.encode(words), device=self.device) for words in spoken]
        padded = pad_sequence(rows, batch_first=True, padding_value=PAD).unsqueeze(0)
        heard, targets, mask = teacher_forcing_split(padded)
        with torch.inference_mode():
            encoder_features, grid = self.extractors[0](image.unsqueeze(0).to(self.device))
            found = self.model.network(Features(encoder_features), heard)
            log_probs = -cross_entropy(found.logits.float(), flatten_tokens(targets, mask), reduction="none")
            of_words = unflatten_tokens(log_probs, mask)[0].cpu()
        visible, area = self._area(size, grid, image.shape[-1])
        return [
            CaptionScore(
                Caption(words, float(of_words[row].sum()), found.alphas[0, row, : len(words)].cpu(), grid, visible, area),
                of_words[row, : len(words) + 1],
                [word for word in words if word not in self.model.vocabulary.token_to_id],
            )
            for row, words in enumerate(spoken)
        ]

    def caption_files(
        self, paths: Sequence[Path], search: GenerationConfig | None = None, *, batch_size: int = 32, workers: int = 0
    ) -> Iterator[tuple[Path, Caption | Failure]]:
        """Caption photos in batches, in order; a broken one yields its reason and the others go on.

        Args:
            workers: processes that read photos while the network works
        """
        remaining = iter(paths)
        loader = DataLoader(DecodedPhotos(paths, self.model.preprocessing), batch_size, num_workers=workers)
        for reasons, images, sizes, looks in prefetch_one(map(self._begin, loader)):
            captions = iter(self._captions(images, sizes, looks, search) if len(images) else ())
            for reason in reasons:
                yield next(remaining), Failure(reason) if reason else next(captions)

    def _begin(self, decoded: tuple[Tensor, list[Tensor], list[str]]) -> tuple[list[str], Tensor, Sequence[tuple[int, int]], Looks]:
        """Begin to look at what could be read of a batch: what is wrong with each photo, and of the good ones images, sizes and looks."""
        images, sizes, reasons = decoded
        good = [row for row, reason in enumerate(reasons) if not reason]
        return reasons, images[good], torch.stack(sizes, 1)[good].tolist(), self._look(images[good])

    def _look(self, images: Tensor) -> Looks:
        return [extractor.submit(images.to(self.device)) for extractor in self.extractors]

    def _captions(self, images: Tensor, sizes: Sequence[tuple[int, int]], looks: Looks, search: GenerationConfig | None) -> list[Caption]:
        search = search or self.model.search
        # What is drawn for a photo depends on its own pixels, and not on its place among others.
        keys = [zlib.crc32(image.numpy().tobytes()) for image in images] if search.sample else None
        encoder_features, (grid, *_) = zip(*(end() for end in looks), strict=True)
        find: Callable[..., tuple[Tensor, ...]] = partial(self._find, search, keys)
        if self.replays is not None and not search.sample:
            find = self.replays.setdefault(search, GraphedInference(find))
        with torch.inference_mode():
            found = Hypotheses(*find(*encoder_features))
        return [self._of_photo(found, row, grid, *self._area(size, grid, images.shape[-1])) for row, size in enumerate(sizes)]

    def _find(self, search: GenerationConfig, keys: Sequence[int] | None, *encoder_features: Tensor) -> Hypotheses:
        """What all models together say of photos that each has looked at."""
        begun = [
            one.network.make_step_function(Features(seen), inference_decoder)
            for one, seen, inference_decoder in zip(self.models, encoder_features, self.decoders, strict=True)
        ]
        return generate(*ensemble_step(begun), search, keys)

    def _of_photo(self, found: Hypotheses, row: int, grid: tuple[int, int], visible: Box, area: Box) -> Caption:
        """The best caption of one photo, with the others that there are."""
        captions: list[Caption] = []
        for numbers, score, alphas in zip(found.token_ids[row].tolist(), found.scores[row].tolist(), found.alphas[row].cpu(), strict=True):
            if score > -math.inf or not captions:
                words = self.model.vocabulary.decode(numbers)
                captions.append(Caption(words, score, alphas[: len(words)], grid, visible, area))
        best, *others = captions
        return replace(best, alternatives=others)

    def _area(self, size: tuple[int, int], grid: tuple[int, int], pixels: int) -> tuple[Box, Box]:
        """What the network saw of a photo, and what the grid covers, both in the photo's pixels."""
        visible = self.model.preprocessing.crop_box(*size)
        return visible, self.model.network.encoder.lattice.area(grid, pixels, visible)


load = Captioner.from_pretrained


def _look(model: Pretrained, mode: str) -> None:
    decoder = model.network.decoder
    if not isinstance(decoder.attention, HardAttention):
        raise InputError(f"an attention mode is for hard attention, and this model's is '{decoder.config.attention}': leave it out")
    decoder.attention.look(mode)
