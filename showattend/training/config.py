"""The options of a model and its training, each declared once: command line, YAML, checkpoints and Python use these dataclasses."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from showattend.config_checks import check_choice, check_range, check_types
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders.base import EncoderConfig
from showattend.errors import InputError
from showattend.models.config import DecoderConfig
from showattend.ops.fusing import fuse_mode
from showattend.training.losses import REDUCTIONS
from showattend.training.schedules import SCHEDULES

MATMUL_PRECISIONS = ("highest", "high", "medium")
OPTIMIZERS: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
PENALTY_TARGETS: dict[str, float | None] = {"1": 1.0, "T/L": None}
REINFORCE_BASELINES = ("moving_average", "leave_one_out")
SELF_CRITICAL_BASELINES = ("greedy", "leave_one_out")


@dataclass(frozen=True)
class LossConfig:
    """The loss of teacher forcing.

    Args:
        penalty: weight of the doubly stochastic penalty (Xu et al. 2015, eq. 14)
        penalty_target: attention that each location should receive over a caption: 1 (the paper) or T/L
        penalty_reduction: what the penalty's sum is divided by: word (as the likelihood is), caption, or location (captions times
            locations)
        label_smoothing: share of the target probability that is spread over all words alike
        word_dropout: share of the input words that become <unk> in training (Bowman et al. 2016)
        scheduled_sampling: share of the input words that are the model's own instead of the reference's at the end of training; it
            rises linearly from 0 (Bengio et al. 2015) and needs trainer.max_epochs or max_steps

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "loss"

    penalty: float = 1.0
    penalty_target: str = "1"
    penalty_reduction: str = "word"
    label_smoothing: float = 0.0
    word_dropout: float = 0.0
    scheduled_sampling: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "penalty", minimum=0)
        check_range(self, "label_smoothing", "word_dropout", minimum=0, below=1)
        check_range(self, "scheduled_sampling", minimum=0, maximum=1)
        check_choice(self, "penalty_target", PENALTY_TARGETS)
        check_choice(self, "penalty_reduction", REDUCTIONS)


@dataclass(frozen=True)
class ReinforceConfig:
    """How hard attention is trained (Xu et al. 2015, section 4.1).

    The defaults are the paper's terms with the authors' weights; their code adds no entropy unless asked.

    Args:
        weight: lambda_r, of the score function against the likelihood
        entropy: lambda_e, of alpha's entropy, in nats per word
        baseline: moving_average of the log-likelihoods; or leave_one_out, the mean of the other samples of a caption or, with one
            sample, of the photo's other captions, which varies less where captions differ in difficulty
        decay: of the moving average
        samples: attention sequences drawn for each caption

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "reinforce"

    weight: float = 0.1
    entropy: float = 0.002
    baseline: str = "moving_average"
    decay: float = 0.9
    samples: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "weight", "entropy", minimum=0)
        check_range(self, "samples", minimum=1)
        check_range(self, "decay", minimum=0, below=1)
        check_choice(self, "baseline", REINFORCE_BASELINES)


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its learning rate.

    Args:
        name: adamw, adam or rmsprop
        learning_rate: at its peak, after the warm-up
        weight_decay: of the decoder's matrices; its vectors (biases, gains) and an encoder have none
        warmup: share of the training in which the learning rate rises linearly
        schedule: cosine, linear or constant, after the warm-up
        options: the optimiser's own, such as {momentum: 0.9, centered: true} for rmsprop

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "optimizer"

    name: str = "adamw"
    learning_rate: float = 4e-4
    weight_decay: float = 0.01
    warmup: float = 0.02
    schedule: str = "cosine"
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "learning_rate", above=0)
        check_range(self, "weight_decay", minimum=0)
        check_range(self, "warmup", minimum=0, maximum=1)
        check_choice(self, "name", OPTIMIZERS)
        check_choice(self, "schedule", SCHEDULES)


def refining_optimizer() -> OptimizerConfig:
    """The optimiser's defaults for a model that is trained already."""
    return OptimizerConfig(learning_rate=3e-5, weight_decay=0.0, schedule="linear")


@dataclass(frozen=True)
class RecipePreprocessing(Preprocessing):
    """Preprocessing whose size may be left to the encoder.

    Args:
        image_size: pixels of the square photos; 0: as many as the encoder's weights were trained on
        resize: stretch or crop
        flip: mirror all photos

    Raises:
        InputError: a size below 0 or an unknown way to resize.
    """

    smallest: ClassVar[int] = 0

    image_size: int = 0

    def for_encoder(self, image_size: int) -> Preprocessing:
        """The preprocessing for an encoder whose weights were trained on photos of a size."""
        return Preprocessing(self.image_size or image_size, self.resize, self.flip)


@dataclass(frozen=True)
class CaptionerConfig:
    """A captioner and its training by teacher forcing.

    Args:
        encoder: photos to features
        preprocessing: photos to the encoder's pixels
        decoder: features to words
        loss: what training minimises
        reinforce: the score function of hard attention, unused by others
        optimizer: how it is minimised
        generation: search for captions in validation; the finished model's default too
        fuse: never, always or auto: compile the loops of additive attention, half a minute at the start for faster steps, with a C++
            compiler; auto where the training is so long that it pays, and on a CPU alone. On a GPU always means too that products are
            in TF32, and whole steps, also in mixed precision, captured in CUDA graphs, one for each batch size and each multiple of
            four words; false is never, true is always
        matmul_precision: of products of float32 matrices, as torch.set_float32_matmul_precision takes it: highest, high or medium, which
            multiplies in bfloat16 where a CPU can (AMX), up to three times as fast
        start: folder of a finished model whose weights the training starts from, to fine-tune its encoder, say; encoder, attention,
            cell and sizes must be that model's; null: a new model
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    preprocessing: RecipePreprocessing = field(default_factory=RecipePreprocessing)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    reinforce: ReinforceConfig = field(default_factory=ReinforceConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    fuse: bool | str = "auto"
    matmul_precision: str = "highest"
    start: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "fuse", fuse_mode(self.fuse))
        check_choice(self, "matmul_precision", MATMUL_PRECISIONS)
        if self.preprocessing.flip:
            raise InputError("preprocessing.flip is true, which would mirror every photo: give --data.flip true to train on both")


@dataclass(frozen=True)
class SelfCriticalConfig:
    """The samples that self-critical training rewards.

    Args:
        samples: captions drawn for each photo in a step
        temperature: of the samples, and of the probabilities that are trained on them; below 1 the samples are closer to what beam
            search finds, which a model trained with label smoothing needs
        baseline: greedy: the reward of the greedy caption (Rennie et al. 2017, eq. 7), at the price of one more search;
            leave_one_out: the mean reward of the photo's other samples (Luo 2020), at none
        dropout: whether the gradient is computed with the decoder's dropout; captions are always drawn without

    Raises:
        InputError: a value of another type or out of its range, or an unknown name.
    """

    section: ClassVar[str] = "self_critical"

    samples: int = 5
    temperature: float = 1.0
    baseline: str = "leave_one_out"
    dropout: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_choice(self, "baseline", SELF_CRITICAL_BASELINES)
        check_range(self, "temperature", above=0)
        minimum = 2 if self.baseline == "leave_one_out" else 1
        if self.samples < minimum:
            raise InputError(f"self_critical.samples is {self.samples}: give at least {minimum} with the baseline {self.baseline}")


@dataclass(frozen=True)
class RefineConfig:
    """Self-critical training of a finished model.

    Args:
        start: folder of the finished model to start from
        self_critical: samples and baseline
        optimizer: how the expected reward is maximised
        generation: fields of GenerationConfig to change, such as {beam: 5}; null: the model's own settings
    """

    start: str
    self_critical: SelfCriticalConfig = field(default_factory=SelfCriticalConfig)
    optimizer: OptimizerConfig = field(default_factory=refining_optimizer)
    generation: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_types(self)
