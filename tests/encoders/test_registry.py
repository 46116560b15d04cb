"""Registered encoders, and a user's own by its dotted path."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from factories import random_photos
from torch import Tensor, nn

from showattend.encoders import Encoder, EncoderConfig, encoder_names, make_encoder, rebuild_encoder, register_family
from showattend.encoders.registry import families
from showattend.errors import InputError
from showattend.geometry import GridGeometry


class Patches(Encoder):
    """One convolution over patches of 16 pixels: an encoder of a user's own, named by its dotted path."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, nn.Conv2d(3, 8, 16, 16), channels=8, grid_geometry=GridGeometry(8, 16))

    def feature_map(self, normalized: Tensor) -> Tensor:
        return self.network(normalized)


class PatchFamily:
    pattern = re.compile("patches/.*")

    def names(self) -> list[str]:
        return ["patches/16"]

    def build(self, config: EncoderConfig) -> Encoder:
        return Patches(config)

    def rebuild(self, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
        return Patches.rebuild(config, spec, weights)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_encoders.py").write_text(Path(__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    return "own_encoders"


def test_an_encoder_of_one_s_own_is_built_and_rebuilt_by_its_dotted_path(module: str) -> None:
    config = EncoderConfig(f"{module}:Patches", "weights.pt", finetune="all")
    encoder = make_encoder(config)
    with pytest.raises(InputError, match=f"--trust {module} "):
        rebuild_encoder(config, encoder.spec(), encoder.state_dict())
    again = rebuild_encoder(config, encoder.spec(), encoder.state_dict(), trust=[module])
    again.load_state_dict(encoder.state_dict())
    assert again.config == config
    photos = random_photos(1, 64)
    assert torch.equal(again(photos).features, encoder(photos).features)
    assert encoder(photos).grid_shape == (4, 4)


def test_a_family_answers_for_the_names_of_its_pattern() -> None:
    register_family(PatchFamily())
    try:
        assert "patches/16" in encoder_names()
        encoder = make_encoder(EncoderConfig("patches/16", "none", finetune="all"))
        assert encoder.channels == 8
        assert rebuild_encoder(encoder.config, {}, encoder.state_dict()).grid_geometry == (8, 16)
    finally:
        families.pop()
    with pytest.raises(InputError, match="unknown encoder 'patches/16'"):
        make_encoder(EncoderConfig("patches/16", "none"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"stride": "16"}, "stride"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"name": 3}, "name is 3"),
    ],
)
def test_wrong_values_of_a_configuration_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EncoderConfig(**{"name": "tiny", **options})
