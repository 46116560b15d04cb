"""The options of a run: its data, and what belongs neither to the model, the data nor the trainer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from showattend.config_checks import check_choice, check_range, check_types
from showattend.metrics import monitor_choices
from showattend.vocabulary import BPE, TOKENIZERS

BATCHINGS = ("photos", "length")
CACHES = ("features", "int8", "pixels", "none")
PRECISIONS = (32, "bf16", "auto")
# Validation metrics, and whether more (max) or less (min) of them is better.
MONITORS = {**monitor_choices(), "val_loss": "min"}


@dataclass(frozen=True)
class DataConfig:
    """The captioned photos, and how they come in batches.

    Args:
        root: folder of the data set (`showattend data --layouts` lists how it may be laid out)
        layout: auto, or one of those that `showattend data --layouts` lists, such as flickr8k, coco or csv
        tokenizer: nltk (English), unicode (scripts with spaces between words), char (Chinese, Japanese, Thai), bpe (subwords that are
            learnt from the captions), or auto, by the captions' scripts
        batch_size: photos in a batch, of all devices together; each comes with its captions
        batching: photos, with several captions of each; or length: single captions of one length, as the paper
        captions_per_photo: captions of a photo in a batch, drawn anew each time where there are more; null: all
        flip: train on mirrored photos too
        crop: photos are cropped at random in training, where their pixels are cached or the encoder is trained; the smallest share of a
            photo that a crop shows, such as 0.6; 1: whole photos
        min_count: a word that occurs less often in the training captions becomes <unk>
        max_words: size of the vocabulary at most, the special tokens not counted; null: no limit
        cache: what is kept on the disk: features of a frozen encoder in half precision; int8, the same in half the space; pixels, from
            which the encoder computes features in every epoch; or none, which decodes the photos in every epoch too. Of an encoder
            that is trained, features and int8 keep the pixels
        precision: of the products of a frozen encoder, whose features are cached: 32; bf16; or auto, which takes bf16 where this processor
            multiplies it faster
        cache_dir: folder of the cache; null: the folder showattend in the user's cache folder
        shuffle_buffer: photos that are shuffled at a time, read in blocks of neighbours; 0: all photos; null: all, unless their rows
            take more than three quarters of the memory
        num_workers: processes that read photos while the network works, for each device

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "data"

    root: Path
    layout: str = "auto"
    tokenizer: str = "auto"
    batch_size: int = 32
    batching: str = "photos"
    captions_per_photo: int | None = 5
    flip: bool = False
    crop: float = 1.0
    min_count: int = 5
    max_words: int | None = None
    cache: str = "features"
    precision: int | str = 32
    cache_dir: Path | None = None
    shuffle_buffer: int | None = None
    num_workers: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "batch_size", "captions_per_photo", "max_words", minimum=1)
        check_range(self, "min_count", "num_workers", "shuffle_buffer", minimum=0)
        check_range(self, "crop", above=0, maximum=1)
        check_choice(self, "batching", BATCHINGS)
        check_choice(self, "cache", CACHES)
        check_choice(self, "precision", PRECISIONS)
        check_choice(self, "tokenizer", ("auto", *TOKENIZERS, BPE))


@dataclass(frozen=True)
class RunConfig:
    """What belongs to a run and neither to the model, the data nor the trainer.

    Args:
        name: folder of the run in runs; null: the name of the last configuration file
        runs: folder of all runs
        monitor: validation metric that selects the best checkpoint: val_loss, val_bleu4, val_cider_d, or another metric's name after val_
        patience: stop after this many validations without a better checkpoint
        ema: decay of an exponential moving average of the weights, such as 0.999, which is validated and saved; in the first steps it
            forgets faster; 0: none
        every_n_steps: save checkpoints/last.ckpt after this many training steps too, not only after each epoch; 0: not
        history_photos: validation photos whose captions and maps are kept at each validation, for `showattend report`; 0: none
        trust: a module of your own, such as my_package.cells, or a list of them, that a checkpoint or a model's files may import

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    name: str | None = None
    runs: str = "runs"
    monitor: str = "val_bleu4"
    patience: int = 5
    ema: float = 0.0
    every_n_steps: int = 0
    history_photos: int = 4
    trust: str | list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_types(self)
        check_choice(self, "monitor", MONITORS)
        check_range(self, "patience", "every_n_steps", "history_photos", minimum=0)
        check_range(self, "ema", minimum=0, below=1)

    @property
    def trusted(self) -> list[str]:
        """The trusted modules as a list."""
        return trusted_modules(self.trust)


def trusted_modules(trust: str | Sequence[str]) -> list[str]:
    """The modules of the option `trust`, one or several."""
    return [trust] if isinstance(trust, str) else list(trust)
