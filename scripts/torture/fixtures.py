"""What the attempts start from: a small data set of shapes, two untrained models, a photo. Made once in a run."""

import shutil
from pathlib import Path

SHAPES, MODEL, GRAPH_MODEL, PHOTO, RECIPE = "shapes", "model", "graph-model", "photo.png", "small.yaml"
PHOTOS = {"train": 24, "val": 4, "test": 4}
SMALL = """\
seed_everything: 0
data: {min_count: 1, batch_size: 8, captions_per_photo: 2, num_workers: 0}
model:
  encoder: {name: tiny, weights: none}
  preprocessing: {image_size: 64}
  decoder: {embedding_size: 16, hidden_size: 16, attention_size: 16, dropout: 0.1}
  generation: {beam: 2, max_length: 8}
trainer: {max_epochs: 2, num_sanity_val_steps: 0, enable_model_summary: false, enable_progress_bar: false, log_every_n_steps: 1}
"""


def make_fixtures(folder: Path) -> None:
    """Write them all."""
    from showattend.data.shapes import write_shapes

    write_shapes(folder / SHAPES, photos=PHOTOS)
    shutil.copy(next((folder / SHAPES / "images").iterdir()), folder / PHOTO)
    (folder / RECIPE).write_text(SMALL)
    write_model(folder / MODEL, "tiny")
    write_model(folder / GRAPH_MODEL, "mobilenet_v3_large")


def write_model(folder: Path, encoder_name: str) -> None:
    """Save a model with random weights; every encoder but `tiny` has a graph, and so an encoder.json."""
    import torch

    from showattend.data.transforms import Preprocessing
    from showattend.decoding import GenerationConfig
    from showattend.encoders import EncoderConfig, make_encoder
    from showattend.models.caption_model import CaptionModel
    from showattend.models.config import DecoderConfig
    from showattend.models.decoder import Decoder
    from showattend.pretrained import Pretrained, save_pretrained
    from showattend.vocabulary import Vocabulary

    torch.manual_seed(0)
    vocabulary = Vocabulary.build([["a", "red", "star", "is", "above", "blue", "circle"]])
    encoder = make_encoder(EncoderConfig(encoder_name, "none"))
    config = DecoderConfig(embedding_size=8, hidden_size=8, attention_size=8)
    decoder = Decoder(config, vocabulary_size=len(vocabulary), encoder_dim=encoder.channels)
    network = CaptionModel(encoder, decoder).eval()
    model = Pretrained(network, vocabulary, Preprocessing(64, "crop"), GenerationConfig(2, 6, 0.5), {"val_bleu4": 0.5})
    save_pretrained(model, folder)
