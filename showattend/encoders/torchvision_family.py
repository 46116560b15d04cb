"""torchvision's names, without torchvision: it is imported only when one of its networks is built or all names are listed."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from showattend.encoders.base import Encoder, EncoderConfig
from showattend.encoders.graph import read_spec
from showattend.encoders.graph_encoder import GraphEncoder
from showattend.encoders.registry import register_family


class TorchvisionFamily:
    """Classification CNNs of torchvision; saved ones are rebuilt from their graph."""

    pattern = re.compile(r"\w*")  # every plain name: which ones exist only torchvision knows

    def names(self) -> list[str]:
        """The names of torchvision's classification CNNs."""
        from showattend.encoders.torchvision_cnn import cnn_names

        return cnn_names()

    def build(self, config: EncoderConfig) -> Encoder:
        """See `TorchvisionCNN`."""
        from showattend.encoders.torchvision_cnn import TorchvisionCNN

        return TorchvisionCNN(config)

    def rebuild(self, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
        """See `GraphEncoder`."""
        return GraphEncoder.from_graph(config, read_spec(spec), weights)


register_family(TorchvisionFamily())
