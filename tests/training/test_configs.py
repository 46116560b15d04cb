"""Every configuration in configs/ trains, and those called paper are the paper's model."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from showattend.cli.main import main
from showattend.data.batches import TrainingBatches, by_length
from showattend.encoders import EncoderConfig, make_encoder
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import load_pretrained

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
CONFIGS = [path for path in RECIPES if not path.stem.startswith("study")]  # a study is no recipe of one training
PAPER = [path for path in CONFIGS if path.stem.startswith("paper")]
# The same recipe with a network that trains in a moment.
SMALL = {
    "model.encoder.name": "tiny",
    "model.encoder.weights": "none",
    "model.encoder.layer": "null",
    "model.encoder.stride": "null",
    "model.preprocessing.image_size": 32,
    "model.decoder.projection_dim": "null",
    "model.decoder.embedding_size": 16,
    "model.decoder.hidden_size": 24,
    "model.decoder.attention_size": 16,
    "model.generation.beam": 2,
    "model.generation.max_length": 12,
    "data.layout": "auto",
    "data.num_workers": 0,
    "trainer.max_steps": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.val_check_interval": 1,
    "trainer.enable_progress_bar": "false",
    "trainer.num_sanity_val_steps": 0,
    "trainer.log_every_n_steps": 1,
}


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem != "scst"], ids=lambda path: path.stem)
def test_a_configuration_trains(path: Path, shapes: Path, tmp_path: Path) -> None:
    options = {**SMALL, "data.root": shapes, "data.cache_dir": tmp_path / "cache", "runs": tmp_path}
    assert main(["fit", f"--config={path}", *(f"--{name}={value}" for name, value in options.items())]) == 0
    assert load_pretrained(tmp_path / path.stem / "model").metrics


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_paper_s_configuration_says_where_each_line_comes_from(path: Path) -> None:
    for line in path.read_text().splitlines():
        key, _, comment = line.partition("#")
        value = key.partition(":")[2].strip()
        assert comment.strip() or not value or key.split(":")[0].strip() in (
            "num_workers", "decay", "momentum", "check_val_every_n_epoch", "log_every_n_steps"
        ), line  # fmt: skip


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_paper_s_sizes(path: Path) -> None:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    model = config["model"]
    assert model["decoder"]["hidden_size"] == {"flickr8k": 1000, "flickr30k": 1300, "coco": 1800}[path.stem.split("_")[1]]
    assert model["optimizer"]["name"] == ("rmsprop" if "flickr8k" in path.stem else "adam")
    assert model["decoder"]["attention"] == path.stem.split("_")[2]
    assert ("reinforce" in model) == ("hard" in path.stem)
    with torch.device("meta"):
        encoder = make_encoder(EncoderConfig(model["encoder"]["name"], "none", model["encoder"]["layer"]))
    assert encoder.channels == 512


def test_vgg_gives_the_paper_s_grid() -> None:
    with torch.device("meta"):
        encoder = make_encoder(EncoderConfig("vgg19", "none")).eval()
        encoder_features, grid = encoder(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    assert encoder_features.shape == (1, 196, 512)
    assert grid == (14, 14)


def test_the_authors_initialisation() -> None:
    decoder = Decoder(
        DecoderConfig(
            embedding_size=48,
            hidden_size=64,
            attention_size=64,
            initialisation="xu2015",
            init_layers=2,
            attention_options={"layers": 2},
            cell_options={"initialisation": "xu2015"},
        ),
        vocabulary_size=500,
        encoder_dim=64,
    )
    square = decoder.init_mlp[0].weight
    assert torch.allclose(square @ square.T, torch.eye(64), atol=1e-5)
    for weight in (decoder.embedding.weight, decoder.output.weight, decoder.init_proj.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not any(parameter.any() for name, parameter in decoder.named_parameters() if name.endswith("bias"))


def test_batches_of_one_length_hold_every_caption_once() -> None:
    lengths = [[5, 7, 5], [7], [5, 9, 9, 7], [5]]
    batches = TrainingBatches(by_length(lengths), 2, seed=0)
    epoch = [[key[:2] for key in batch] for batch in batches]
    assert len(epoch) == len(batches) == 2 + 2 + 1
    assert sorted(pair for batch in epoch for pair in batch) == [(p, c) for p, captions in enumerate(lengths) for c in range(len(captions))]
    for batch in epoch:
        assert len({lengths[photo][caption] for photo, caption in batch}) == 1
    batches.set_epoch(1)
    assert [[key[:2] for key in batch] for batch in batches] != epoch
