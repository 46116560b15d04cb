"""The contract of an encoder: pixels to a grid of features a_1..a_L (Xu et al. 2015, section 3.1.1).

A member is a subclass of `Encoder`, registered under a name with `showattend.encoders.register`. Families with many names (torchvision's
networks) are resolved when one of them is built, see `showattend.encoders.registry`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from showattend.config_checks import check_range, check_types
from showattend.encoders.packing import round_weights
from showattend.errors import InputError, unknown_name
from showattend.geometry import GridGeometry

DEFAULT_WEIGHTS, RANDOM_WEIGHTS = "default", "none"


@dataclass(frozen=True)
class EncoderConfig:
    """The encoder's network, its feature map, and its training.

    Raises:
        InputError: a value is not of its type or out of its range.

    Args:
        name: tiny, a CNN of torchvision (vgg19, resnet101, mobilenet_v2, …), a model of timm (timm/convnext_tiny,
            timm/vit_base_patch16_clip_224.openai, …), or a dotted path my_package.encoders:MyEncoder
        weights: default (torchvision's or timm's, downloaded once), a safetensors or state-dict file, or none (random)
        layer: feature map by the name of its layer, such as features.13; null: the last one; of timm several that are joined, such as
            blocks.5+blocks.6+last
        stride: pixels per location of the grid; 16 gives 14x14 at 224 pixels; null: the network's own
        finetune: null (frozen, features are cached), all, or the stage from which on the encoder is trained, such as features.14
        learning_rate: of a fine-tuned encoder
    """

    name: str = "mobilenet_v2"
    weights: str = DEFAULT_WEIGHTS
    layer: str | None = None
    stride: int | None = None
    finetune: str | None = None
    learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "stride", minimum=1)
        check_range(self, "learning_rate", above=0)


def unknown_layer(config: EncoderConfig, known: Iterable[str]) -> InputError:
    """The error for a layer that a network does not have: it may be of a recipe that is given another network."""
    error = unknown_name(f"{config.name} layer", str(config.layer), known)
    return InputError(f"{error}; --model.encoder.layer null takes its last map")


class EncoderOutput(NamedTuple):
    """The features of N photos.

    features: row by row from the top left, (N,L,D)
    grid_shape: rows and columns, L = rows * columns
    """

    features: Tensor
    grid_shape: tuple[int, int]


class Normalization(NamedTuple):
    """Mean and standard deviation of each colour channel of the training photos, channels from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Encoder(nn.Module, ABC):
    """Pixels to features, on a grid whose geometry is known.

    A subclass builds its layers in `network`, from `config`, calls this constructor, and writes `feature_map`. Fine-tuning stages and saved
    weights are the parameters of `network` under their names. A subclass that is rebuilt from its name alone overrides neither `spec` nor
    `rebuild`.

    Args:
        network: its layers
        channels: D, channels of a feature
        grid_geometry: where each location of the grid looks
        normalization: what `feature_map` expects of its input
    """

    trains_from_scratch: ClassVar[bool] = False  # true: there are no pretrained weights, so training it is the default
    image_size: int = 224  # pixels of the square photos that its weights were trained on
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: EncoderConfig,
        network: nn.Module,
        *,
        channels: int,
        grid_geometry: GridGeometry,
        normalization: Normalization = IMAGENET,
    ) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.channels = channels
        self.grid_geometry = grid_geometry
        # In place: on the meta device a new tensor would need torch's compiler, which takes a second to import.
        self.register_buffer("mean", torch.tensor(normalization.mean).view(3, 1, 1).mul_(255))
        self.register_buffer("std", torch.tensor(normalization.std).view(3, 1, 1).mul_(255))

    @classmethod
    def build(cls, config: EncoderConfig) -> "Encoder":
        """The encoder of a configuration, with its weights.

        Raises:
            InputError: the weights cannot be had or do not fit, or there is no such layer or stride.
        """
        return cls(config)  # type: ignore[call-arg]  # a subclass takes its configuration only

    @classmethod
    def rebuild(cls, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> "Encoder":
        """The encoder of a saved model, whose state is about to be loaded; nothing is downloaded.

        Args:
            spec: what `spec` returned for the saved encoder
            weights: its state, by the names of `state_dict`

        Raises:
            InputError: the specification is not valid or does not fit the weights.
        """
        encoder = cls.build(replace(config, weights=RANDOM_WEIGHTS))
        encoder.config = config
        return encoder

    @abstractmethod
    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,D,rows,columns)."""

    def geometry_at(self, image_size: int) -> GridGeometry:
        """Where the grid looks in photos of a size; a subclass whose padding depends on the size overrides this."""
        return self.grid_geometry

    def spec(self) -> dict[str, Any]:
        """What `rebuild` needs besides configuration and weights, as a JSON object; by default nothing."""
        return {}

    def forward(self, pixels: Tensor) -> EncoderOutput:
        """Normalise the pixels and compute their features.

        Args:
            pixels: RGB bytes, (N,3,S,S)
        """
        normalized = (pixels - self.mean).div_(self.std).contiguous(memory_format=torch.channels_last)
        grid = self.feature_map(normalized)
        return EncoderOutput(grid.flatten(2).transpose(1, 2), (grid.shape[2], grid.shape[3]))

    @property
    def normalization(self) -> Normalization:
        """Mean and standard deviation of pixels from 0 to 1, with which the input of `feature_map` is normalised."""
        mean, std = (tuple((values.flatten() / 255).tolist()) for values in (self.mean, self.std))
        return Normalization(mean, std)

    @property
    def stages(self) -> list[str]:
        """Names for fine-tuning, in order: the first two steps of the paths of the layers that have parameters."""
        layers = (name.rpartition(".")[0] for name, _ in self.network.named_parameters())
        return list(dict.fromkeys(".".join(layer.split(".")[:2]) for layer in layers if layer))

    def with_folded_batchnorm(self) -> "Encoder":
        """A frozen copy in eval mode, in which batch normalisation is part of the convolution before it.

        Its features are this encoder's up to float tolerance. This one folds nothing.
        """
        return copy.deepcopy(self).eval().requires_grad_(False)

    def for_inference(self, dtype: torch.dtype | None = None) -> "Encoder":
        """A frozen copy with folded batch normalisation; subclasses whose layers are known pack their convolutions too.

        Args:
            dtype: of the operands of products, where autocast has it too; None: that of the weights
        """
        encoder = self.with_folded_batchnorm()
        round_weights(encoder.network, dtype)
        return encoder

    def set_trainable(self, finetune: str | None) -> Self:
        """Train all parameters (`all`), those from a stage on, or none (None; all where the encoder is trained from scratch).

        Raises:
            InputError: no parameter begins with that name.
        """
        parameters = dict(self.network.named_parameters())
        first = next((i for i, name in enumerate(parameters) if name.startswith(f"{finetune}.")), None)
        if finetune is None:
            first = 0 if self.trains_from_scratch else len(parameters)
        elif finetune == "all":
            first = 0
        if first is None:
            raise unknown_name("encoder stage", str(finetune), [*self.stages, "all"])
        for i, parameter in enumerate(parameters.values()):
            parameter.requires_grad_(i >= first)
        return self
