"""The one class that most users need: a trained model, or an ensemble, that captions photos and scores captions."""

import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from showattend.decoding import GenerationConfig
from showattend.decoding.neighbors import check_neighbors
from showattend.encoders import EncoderOutput
from showattend.encoders.feature_extractor import prefetch_one
from showattend.errors import InputError
from showattend.features.decoded_photos import DecodedBatch, decoded_batches
from showattend.inference.caption import Caption, CaptionScore, Failure, best_caption
from showattend.inference.details import add_details
from showattend.inference.device import choose_device
from showattend.inference.ensemble import Ensemble, PendingFeatures
from showattend.inference.gates import record_gates
from showattend.inference.photo import LoadedPhoto, PhotoLike, load_photo, photo_grid
from showattend.inference.precision import choose_precision
from showattend.inference.scoring import score_captions
from showattend.models.inputs import Features
from showattend.ops.fusing import fuse_mode
from showattend.ops.threads import torch_threads
from showattend.pretrained import Pretrained, find_model_folder, load_pretrained, push_to_hub, save_pretrained


class Captioner:
    """A trained model, ready to caption.

    >>> Captioner.from_pretrained("runs/demo/run/model").caption("photo.jpg").words      # doctest: +SKIP
    ['a', 'red', 'star', 'above', 'a', 'white', 'cross']
    """

    def __init__(
        self,
        model: Pretrained,
        device: str | torch.device | None = None,
        *,
        ensemble: Sequence[Pretrained] = (),
        attention_mode: str | None = None,
        fuse: str = "auto",
        precision: str = "32",
    ) -> None:
        self.model = model
        self.device = choose_device(device)
        models = (model, *ensemble)
        if attention_mode is not None:
            for member in models:
                member.network.decoder.attention.set_inference_mode(attention_mode)
        self.fuse, chosen = fuse_mode(fuse), choose_precision(precision, self.device)
        self.precision = chosen.name
        self.ensemble = Ensemble(models, self.device, dtype=chosen.dtype)
        if self.fuse == "always":
            self.ensemble.fuse()

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: the models and the options, from which all else is built again."""
        model, *others = self.ensemble.models
        return partial(Captioner, ensemble=others, fuse=self.fuse, precision=self.precision), (model, str(self.device))

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        device: str | torch.device | None = None,
        *,
        revision: str | None = None,
        ensemble: Sequence[Path | str] = (),
        attention_mode: str | None = None,
        fuse: str = "auto",
        precision: str = "32",
        trust: Collection[str] = (),
    ) -> "Captioner":
        """Load a model folder.

        Args:
            folder: a local one, or USER/NAME on the Hugging Face Hub
            device: see `choose_device`
            revision: branch, tag or commit of the model on the Hub
            ensemble: folders of more models, whose probabilities are averaged with those of the first
            attention_mode: expected, argmax or sample, for a model with hard attention; None: the mode it was trained with
            fuse: never, always or auto: compile the attention's loops, auto where the photos ahead pay for it, see `expect`
            precision: of the products, 32, bf16, int8 (in the decoder alone) or auto, see `choose_precision`
            trust: modules, such as my_package.cells, that the folders' files may import

        Raises:
            InputError: see `load_pretrained`; there is no such device; a mode for a model without modes; models that do not fit
                together; no such precision; loops that must be compiled, or int8, do not work here.
        """
        folder = find_model_folder(folder, revision)
        model, *others = (load_pretrained(Path(each), trust=trust) for each in (folder, *ensemble))
        return cls(model, device, ensemble=others, attention_mode=attention_mode, fuse=fuse, precision=precision)

    def expect(self, photos: int, config: GenerationConfig | None = None) -> None:
        """Say how many photos will be captioned: where `fuse` is auto, the attention's loops are compiled as soon as that pays.

        Work that comes in pieces is announced as a whole. Where nothing can be compiled, and on a GPU, all stays as it is.

        Raises:
            InputError: the settings ask for neighbors, and the model has none.
        """
        check_neighbors(config or self.model.generation, self.model.neighbors)
        if self.fuse == "auto" and self.ensemble.fusing_pays(photos, config or self.model.generation):
            try:
                self.ensemble.fuse()
            except InputError:
                self.fuse = "never"  # and nothing is tried again

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the model into a folder of its own; of an ensemble, the first.

        Raises:
            InputError: see `pretrained.save_pretrained`.
        """
        save_pretrained(self.model, Path(folder))

    def push_to_hub(self, name: str, *, private: bool = False, revision: str | None = None) -> str:
        """Upload the model to USER/NAME on the Hugging Face Hub; of an ensemble, the first.

        Args:
            private: whether a new repository is visible to its owner alone
            revision: branch to write to; None: main

        Returns:
            the address of the model

        Raises:
            InputError: see `pretrained.push_to_hub`.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model")
            return push_to_hub(Path(folder) / "model", name, private=private, revision=revision)

    @property
    def takes_one_location(self) -> bool:
        """Whether hard attention takes one location at each word, and not the expected features."""
        attention = self.model.network.decoder.attention
        return attention.samples_locations and getattr(attention, "mode", "expected") != "expected"

    def caption(self, photo: PhotoLike, config: GenerationConfig | None = None, *, details: bool = False, gates: bool = False) -> Caption:
        """Caption one photo, a file or an open picture.

        Args:
            details: add what the decoder knew at each word, see `Caption`, by a second pass over each caption
            gates: with the details, the gates of the cell too

        Raises:
            InputError: the file holds no readable picture.
        """
        loaded = load_photo(photo, self.model.preprocessing)
        caption, encoded = self._caption_one(loaded, config)
        caption = replace(caption, photo=loaded.source)
        if not (details or gates):
            return caption
        features = [Features(output.features) for output in encoded]
        with self.ensemble.autocast():
            best, *others = (add_details(self.ensemble.models, features, one, gates=gates) for one in (caption, *caption.alternatives))
        return replace(best, alternatives=others)

    def gates(self, photo: PhotoLike, config: GenerationConfig | None = None) -> tuple[Caption, list[dict[str, Tensor]]]:
        """Caption one photo, a file or an open picture, and record the gates of the cell at each word, of an ensemble the first one's.

        Returns:
            caption: T words
            gates: for each layer of cells, the lowest first, names and values (T,H) at the step that predicts each word

        Raises:
            InputError: the file holds no readable picture, or the caption has no words.
        """
        loaded = load_photo(photo, self.model.preprocessing)
        caption, (encoded, *_) = self._caption_one(loaded, config)
        with self.ensemble.autocast():
            return caption, record_gates(self.model, Features(encoded.features), caption.words)

    def score(self, photo: PhotoLike, captions: Sequence[str], *, details: bool = False, gates: bool = False) -> list[CaptionScore]:
        """How probable these captions are for a photo, a file or an open picture, and alpha at each of their words.

        Of an ensemble, the first model answers.

        Args:
            details, gates: see `caption`

        Raises:
            InputError: the file holds no readable picture, or a caption has no words.
        """
        tokens = [self.model.vocabulary.tokenize(caption) for caption in captions]
        for caption, words in zip(captions, tokens, strict=True):
            if not words:
                raise InputError(f"the caption '{caption}' has no words: give at least one")
        return self.score_words(photo, tokens, details=details, gates=gates)

    def score_words(
        self, photo: PhotoLike, captions: Sequence[list[str]], *, details: bool = False, gates: bool = False
    ) -> list[CaptionScore]:
        """As `score`, for captions that are lists of words already.

        Raises:
            InputError: the file holds no readable picture.
        """
        loaded = load_photo(photo, self.model.preprocessing)
        encoded = self.ensemble.extractors[0](loaded.pixels.unsqueeze(0))
        features = Features(encoded.features)
        with self.ensemble.autocast():
            scores = score_captions(self.model, features, captions, photo_grid(self.model, loaded.size, encoded.grid_shape))
            scored = [replace(score.caption, photo=loaded.source) for score in scores]
            if details or gates:
                scored = [add_details([self.model], [features], caption, gates=gates) for caption in scored]
        return [score._replace(caption=caption) for score, caption in zip(scores, scored, strict=True)]

    def caption_files(
        self, paths: Iterable[Path], config: GenerationConfig | None = None, *, batch_size: int = 64, workers: int = 0
    ) -> Iterator[tuple[Path, Caption | Failure]]:
        """Caption photo files in batches, in order; one that cannot be read yields its reason, and the others go on. See also `expect`.

        Args:
            paths: any number; they are taken some batches ahead
            workers: processes that read photos while the network works
        """
        if isinstance(paths, Sized):
            self.expect(len(paths), config)
        ahead, remaining = tee(paths)
        decoded = decoded_batches(ahead, self.model.preprocessing, batch_size, workers)
        for results in self.caption_decoded(decoded, config):
            for result in results:
                path = next(remaining)
                yield path, result if isinstance(result, Failure) else replace(result, photo=path)

    def caption_decoded(self, batches: Iterable[DecodedBatch], config: GenerationConfig | None = None) -> Iterator[list[Caption | Failure]]:
        """Caption batches of decoded photos; while one batch is searched, the next is encoded."""
        threads = torch.get_num_threads()
        for reasons, batch in prefetch_one(map(self._submit_readable, batches)):
            # A second thread speeds a search up by a fifth, and the encoder by nearly twice: of two each has one.
            with torch_threads(1 if threads == 2 else threads):
                captions = iter(self._caption_batch(batch, batch.wait(), config) if batch.sizes else ())
            yield [Failure(reason) if reason else next(captions) for reason in reasons]

    def _submit_readable(self, decoded: DecodedBatch) -> tuple[list[str], "_Batch"]:
        """Start to encode the photos of a batch that could be read; the reasons, empty for these, are returned too."""
        pixels, sizes, reasons = decoded
        readable = [row for row, reason in enumerate(reasons) if not reason]
        if len(readable) < len(reasons):
            pixels, sizes = pixels[readable], [sizes[row] for row in readable]
        return reasons, self._submit(pixels, sizes)

    def _submit(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> "_Batch":
        """Start to encode photos, uint8 (N,3,S,S), with all models."""
        return _Batch(pixels, sizes, self.ensemble.submit(pixels) if sizes else [])

    def _caption_one(self, photo: LoadedPhoto, config: GenerationConfig | None) -> tuple[Caption, list[EncoderOutput]]:
        """The caption of one photo, and its features by each model."""
        batch = self._submit(photo.pixels.unsqueeze(0), [photo.size])
        encoded = batch.wait()
        return self._caption_batch(batch, encoded, config)[0], encoded

    def _caption_batch(self, batch: "_Batch", encoded: Sequence[EncoderOutput], config: GenerationConfig | None) -> list[Caption]:
        """The captions of photos, encoded by each model."""
        config = config or self.model.generation
        hypotheses, grid_shape = self.ensemble.generate(encoded, config, batch.keys() if config.sample else None)
        grids = [photo_grid(self.model, size, grid_shape) for size in batch.sizes]
        return [best_caption(hypotheses, row, self.model.vocabulary, grid) for row, grid in enumerate(grids)]


class _Batch(NamedTuple):
    """Photos that are being encoded, uint8 (N,3,S,S), width and height of each, and the features to come."""

    pixels: Tensor
    sizes: Sequence[tuple[int, int]]
    pending: PendingFeatures

    def keys(self) -> list[int]:
        """What decides, with the seed, what is sampled for each photo: its own pixels, and not its position in the batch."""
        return [zlib.crc32(photo.numpy().tobytes()) for photo in self.pixels]

    def wait(self) -> list[EncoderOutput]:
        """The features by each model; it can be called once."""
        return [wait() for wait in self.pending]


load = Captioner.from_pretrained
