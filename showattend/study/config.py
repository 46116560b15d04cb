"""The options of a study, each declared once; `config_file` reads them from YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from showattend.cells import cell_names, find_cell
from showattend.cells.catalogue import count_parameters
from showattend.config_checks import check_range, check_types, from_mapping
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders.base import EncoderConfig
from showattend.errors import InputError, unknown_name
from showattend.models.config import MAX_SIZE, DecoderConfig
from showattend.study.memory_probe import ProbeConfig
from showattend.study.memory_tasks import TASKS

EQUAL_SIZE, EQUAL_PARAMETERS = "equal_size", "equal_parameters"
TRACKS = (EQUAL_SIZE, EQUAL_PARAMETERS)
PRIMARY = "test_nll"  # what the conclusion speaks of: the least noisy metric, and the one that training minimises
MAX_CANDIDATE_SEEDS = 100
MAX_SEED = 2**32 - 1  # what NumPy's generators take
MAX_RUNS = 10_000  # of each kind and cell; a list of all runs is made before the first
ANY_SIZE = 64  # of the inputs: whether a cell can be built does not depend on it
# Measured on the test split of each final run, with what a table calls it.
METRICS = {"test_nll": "NLL (nats a token)", "test_bleu4": "BLEU-4", "test_cider_d": "CIDEr-D", "test_pointing": "pointing accuracy"}


@dataclass(frozen=True)
class SearchSpace:
    """What random search draws from; the same draws for every cell.

    Args:
        learning_rate: lowest and highest, log-uniform
        dropout: lowest and highest, uniform
        clip: lowest and highest norm of the gradient, log-uniform
        hidden_size: the sizes; for the track of equal parameters, those of the reference

    Raises:
        InputError: a range without its two bounds, bounds in the wrong order, or no size.
    """

    section: ClassVar[str] = "space"

    learning_rate: list[float]
    dropout: list[float]
    clip: list[float]
    hidden_size: list[int]

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("learning_rate", 1e-9), ("dropout", 0.0), ("clip", 1e-9)):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not least <= bounds[0] <= bounds[1]:
                raise InputError(f"space.{name} is {bounds}: give the lowest and the highest value, such as [{least:g}, 0.5]")
        if self.dropout[1] >= 1:
            raise InputError(f"space.dropout is {self.dropout}: give bounds below 1")
        sizes = self.hidden_size
        if not sizes or min(sizes) < 1 or max(sizes) > MAX_SIZE or len(set(sizes)) < len(sizes):
            raise InputError(f"space.hidden_size is {sizes}: give at least one size, each of them once, and at most {MAX_SIZE}")


@dataclass(frozen=True)
class StudyData:
    """The captioned photos of a study.

    Args:
        root: folder of the data set; null: the embedded data set of shapes, written into the study's folder
        layout: auto, or one of those that `showattend data --layouts` lists
        train_photos: use only so many photos of the training split; null: all
        min_count: a word that occurs less often in these becomes <unk>
        batch_size: photos in a step
        captions_per_photo: captions of a photo in a step, drawn anew each time; null: all

    Raises:
        InputError: a value of another type or out of its range.
    """

    section: ClassVar[str] = "data"

    root: Path | None = None
    layout: str = "auto"
    train_photos: int | None = None
    min_count: int = 1
    batch_size: int = 16
    captions_per_photo: int | None = 3

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "train_photos", "min_count", "batch_size", "captions_per_photo", minimum=1)


@dataclass(frozen=True)
class StudyTraining:
    """What every run does alike: AdamW over so many steps, with a linear warm-up and then a cosine.

    Args:
        steps: gradient steps of a run
        weight_decay: of matrices
        warmup: share of the steps in which the learning rate rises
        penalty: weight of the doubly stochastic penalty
        label_smoothing: share of the target probability that is spread over all words

    Raises:
        InputError: a value of another type or out of its range.
    """

    section: ClassVar[str] = "training"

    steps: int = 400
    weight_decay: float = 0.01
    warmup: float = 0.1
    penalty: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "steps", minimum=1)
        check_range(self, "weight_decay", "penalty", minimum=0)
        check_range(self, "warmup", minimum=0, maximum=1)
        check_range(self, "label_smoothing", minimum=0, below=1)


@dataclass(frozen=True)
class CaptionStudy:
    """Which cell captions best: every cell is trained on the features of one frozen encoder.

    Args:
        cells: names or dotted paths; none: all registered ones; the references are always among them
        space: of the random search
        margins: for each metric, the difference below which two cells are the same for practical purposes
        data: the photos
        encoder: a frozen encoder; unused with `encoder_recipe`
        encoder_recipe: train this packaged recipe once, and take its encoder
        preprocessing: photos to the encoder's pixels; unused with `encoder_recipe`
        decoder: fields of DecoderConfig that all runs share, without cell, hidden_size, layers and dropout
        training: of a run
        generation: how captions are generated for the scores
        tracks: equal_size, equal_parameters, or both
        references: the cells that every other one is compared with; the first also sets the parameters of equal_parameters
        trials: settings that random search draws, the same for every cell
        candidates: of these, the best so many of each cell are run again; 1: the best one is taken as it is
        candidate_seeds: fresh runs of each candidate, whose mean chooses among them
        seeds: runs of each cell with its best setting
        seed: of the whole study

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "study"

    space: SearchSpace
    margins: dict[str, float]
    cells: list[str] = field(default_factory=list)
    data: StudyData = field(default_factory=StudyData)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    encoder_recipe: str | None = None
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    decoder: dict[str, Any] = field(default_factory=dict)
    training: StudyTraining = field(default_factory=StudyTraining)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    tracks: list[str] = field(default_factory=lambda: list(TRACKS))
    references: list[str] = field(default_factory=lambda: ["lstm", "peephole"])
    trials: int = 16
    candidates: int = 1
    candidate_seeds: int = 3
    seeds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "trials", "candidates", "seeds", minimum=1, maximum=MAX_RUNS)
        check_range(self, "candidate_seeds", minimum=1, maximum=MAX_CANDIDATE_SEEDS)
        check_range(self, "seed", minimum=0, maximum=MAX_SEED)
        _check_names("track", self.tracks, TRACKS)
        if not self.references:
            raise InputError("study.references is empty: give the cell that the others are compared with, such as lstm")
        for cell in (*self.cells, *self.references):
            find_cell(cell)
        for metric, margin in self.margins.items():
            if metric not in METRICS:
                raise unknown_name("margin of study.margins", metric, METRICS)
            if not isinstance(margin, int | float) or isinstance(margin, bool) or margin <= 0:
                raise InputError(f"study.margins.{metric} is {margin}: give a number above 0")
        if PRIMARY not in self.margins:
            raise InputError(f"study.margins lacks {PRIMARY}, of which the conclusion speaks: give it, in nats a token")
        varied = {"cell", "hidden_size", "layers", "dropout"} & set(self.decoder)
        if varied:
            raise InputError(f"study.decoder.{min(varied)} is what the study varies: leave it out")
        from_mapping(DecoderConfig, self.decoder)

    @property
    def chosen_cells(self) -> list[str]:
        """The cells of the study; all registered ones if none are named. References are always among them."""
        return list(dict.fromkeys((*(self.cells or cell_names()), *self.references)))


@dataclass(frozen=True)
class MemoryStudy:
    """Over which distance a cell remembers: each is trained on tasks with growing delays.

    Args:
        probe: how a cell is trained
        cells: names or dotted paths; none: all registered ones
        tasks: copying, adding, order
        seeds: repetitions
        seed: of the whole study

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "study"

    probe: ProbeConfig = field(default_factory=ProbeConfig)
    cells: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=lambda: list(TASKS))
    seeds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "seeds", minimum=1, maximum=MAX_RUNS)
        check_range(self, "seed", minimum=0, maximum=MAX_SEED)
        _check_names("task", self.tasks, TASKS)
        for cell in self.cells:
            find_cell(cell)

    @property
    def chosen_cells(self) -> list[str]:
        """The cells of the study; all registered ones if none are named."""
        return list(dict.fromkeys(self.cells or cell_names()))


StudyConfig = CaptionStudy | MemoryStudy
KINDS: dict[str, type[CaptionStudy] | type[MemoryStudy]] = {"captions": CaptionStudy, "memory": MemoryStudy}


def check_sizes(config: StudyConfig) -> None:
    """Refuse a cell that cannot be built at a size of the study, before anything is trained.

    Raises:
        InputError: the first such cell, with its reason.
    """
    if isinstance(config, MemoryStudy):
        cells, sizes, option = config.chosen_cells, [config.probe.hidden_size], "probe.hidden_size"
    else:  # with equal parameters a cell has a size of its own, near that of the first reference
        cells = config.chosen_cells if EQUAL_SIZE in config.tracks else config.references[:1]
        sizes, option = list(config.space.hidden_size), "space.hidden_size"
    for cell, size in product(cells, sizes):
        try:
            count_parameters(cell, ANY_SIZE, size)
        except InputError as error:
            raise InputError(f"{cell}: {error}; change {option}, or leave the cell out (--cells)") from error


def _check_names(kind: str, names: list[str], known: Mapping[str, object] | tuple[str, ...]) -> None:
    if not names:
        raise InputError(f"study.{kind}s is empty: give at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
        if names.count(name) > 1:
            raise InputError(f"study.{kind}s names '{name}' twice: leave one out")
