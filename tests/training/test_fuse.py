"""`--model.fuse`: when training compiles the attention's loops."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from factories import fit_captioner

from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.models.caption_model import CaptionModel
from showattend.ops.fusing import TRAINING_ELEMENTS
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.vocabulary import PAD, START


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[CaptionModel]:
    """Collects the networks whose loops would be compiled."""
    networks: list[CaptionModel] = []
    monkeypatch.setattr(CaptionModel, "fuse", lambda network: networks.append(network))
    return networks


@pytest.fixture
def lit(shapes: Path, tmp_path: Path, compiled: list[CaptionModel]) -> LitCaptioner:
    """A captioner with the sizes of `make demo`, before its first step."""
    sizes = {"embedding_size": 64, "hidden_size": 128, "attention_size": 64}
    data = {"batch_size": 16, "captions_per_photo": 3}
    return fit_captioner(shapes, tmp_path, steps=0, data=data, decoder=sizes, preprocessing={"image_size": 64})


def test_work_is_counted_as_it_will_be_done(lit: LitCaptioner, compiled: list[CaptionModel]) -> None:
    data = lit.trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, CaptionDataModule)
    data.datasets["train"].captions_per_photo = None
    tokens = [int((batch.token_ids != PAD).sum()) for batch in data.train_dataloader()]
    assert data.tokens_per_batch() == pytest.approx(sum(tokens) / len(tokens))
    batch = next(iter(data.train_dataloader()))
    alphas = lit.network(batch.photos, torch.full((len(batch.ids), 1, 1), START)).alphas
    assert lit.network.elements_per_token(64) == alphas.shape[-1] * 64
    assert not compiled


def test_the_demo_is_too_small_to_compile(lit: LitCaptioner) -> None:
    tokens = lit.trainer.datamodule.tokens_per_batch() / 16 * 4000 * 10  # type: ignore[attr-defined]  # photos and epochs of the demo
    assert tokens * lit.network.elements_per_token(64) < TRAINING_ELEMENTS / 2


def test_a_long_training_compiles_and_a_resumed_one_does_what_the_run_did(
    lit: LitCaptioner, compiled: list[CaptionModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints: list[dict[str, object]] = []
    for pays in (False, True):
        lit.is_fused = None
        monkeypatch.setattr(lit, "_attention_elements", lambda pays=pays: TRAINING_ELEMENTS * pays)
        lit.on_fit_start()
        assert len(compiled) == pays
        checkpoints.append({})
        lit.on_save_checkpoint(checkpoints[-1])
    compiled.clear()
    for checkpoint, elements, expected in zip(checkpoints, (TRAINING_ELEMENTS, 0.0), (False, True), strict=True):
        monkeypatch.setattr(lit, "_attention_elements", lambda elements=elements: elements)
        lit.on_load_checkpoint(checkpoint)
        lit.on_fit_start()
        assert bool(compiled) == expected


def test_without_a_compiler_auto_goes_on_and_always_is_one_line(lit: LitCaptioner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: CaptionModel) -> None:
        raise InputError("the attention cannot be compiled")

    monkeypatch.setattr(CaptionModel, "fuse", fail)
    lit.is_fused = True
    lit.on_fit_start()
    with pytest.raises(InputError, match="cannot be compiled"):
        LitCaptioner(lit.vocabulary, replace(lit.config, fuse="always"))


def test_switches_of_earlier_configurations_are_modes() -> None:
    assert [from_mapping(CaptionerConfig, {"fuse": value}).fuse for value in (True, False, "auto")] == ["always", "never", "auto"]
    with pytest.raises(InputError, match="unknown fuse 'maybe'"):
        from_mapping(CaptionerConfig, {"fuse": "maybe"})
