"""Training that starts from a finished model."""

from dataclasses import asdict
from pathlib import Path

import lightning
import pytest
import torch
from factories import QUIET_TRAINER, fit_captioner, small_config
from torchvision.models import squeezenet1_1

from showattend.config_checks import from_mapping
from showattend.errors import InputError
from showattend.pretrained import Pretrained, load_pretrained, save_pretrained
from showattend.training.captioner import LitCaptioner
from showattend.training.config import CaptionerConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.run_config import DataConfig


@pytest.fixture(scope="module")
def finished(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model over a frozen SqueezeNet after three steps."""
    folder = tmp_path_factory.mktemp("start")
    torch.save(squeezenet1_1(weights=None).state_dict(), folder / "weights.pth")
    lit = fit_captioner(shapes, folder, encoder={"name": "squeezenet1_1", "weights": str(folder / "weights.pth")})
    save_pretrained(Pretrained(lit.network, lit.vocabulary, lit.preprocessing, lit.generation), folder / "model")
    (folder / "weights.pth").unlink()  # the model's folder is enough
    return folder / "model"


def start_from(finished: Path, encoder: dict[str, object] | None = None, **sections: object) -> CaptionerConfig:
    encoder = {"name": "squeezenet1_1", "finetune": "features.12", "learning_rate": 1e-3, **(encoder or {})}
    return from_mapping(CaptionerConfig, {**asdict(small_config(encoder=encoder, **sections)), "start": str(finished)})


def test_training_starts_from_the_weights_of_the_model_and_can_train_its_encoder(finished: Path, shapes: Path, tmp_path: Path) -> None:
    data = CaptionDataModule(DataConfig(shapes, min_count=1, batch_size=8, cache_dir=tmp_path, num_workers=0, crop=0.6))
    lit = LitCaptioner(data.vocabulary, start_from(finished))
    before = load_pretrained(finished).network.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in lit.network.state_dict().items())
    trainer = lightning.Trainer(max_steps=2, **{**QUIET_TRAINER, "limit_val_batches": 0})
    trainer.fit(lit, data)
    moved = {name for name, value in lit.network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in moved if name.startswith("encoder")} == {
        f"encoder.network.features.12.{part}.{kind}" for part in ("squeeze", "expand1x1", "expand3x3") for kind in ("weight", "bias")
    }
    assert any(name.startswith("decoder") for name in moved)


def test_a_model_that_does_not_fit_is_one_line(finished: Path, shapes: Path) -> None:
    vocabulary = CaptionDataModule(DataConfig(shapes, min_count=1)).vocabulary
    with pytest.raises(InputError, match=r"another encoder than tiny: give --model\.encoder\.name squeezenet1_1"):
        LitCaptioner(vocabulary, start_from(finished, {"name": "tiny", "finetune": None}))
    with pytest.raises(InputError, match="another decoder"):
        LitCaptioner(vocabulary, start_from(finished, decoder={"cell": "gru"}))
    with pytest.raises(InputError, match=r"'features\.99'"):
        LitCaptioner(vocabulary, start_from(finished, {"finetune": "features.99"}))
    with pytest.raises(InputError, match="other words"):
        LitCaptioner(CaptionDataModule(DataConfig(shapes, min_count=40)).vocabulary, start_from(finished))
