"""Modules that a command imports: libraries that take long to import are not among them, which is measured without a clock."""

import subprocess
import sys
from pathlib import Path

import pytest
from factories import untrained_model
from PIL import Image

from showattend.pretrained import save_pretrained

# torch._dynamo, torch's compiler, takes half as long as torch itself. torchvision imports it, and so do some of torch's own operations.
SLOW = {"torchvision", "torch._dynamo", "sympy", "lightning", "matplotlib", "nltk", "pycocotools", "jsonargparse"}


def imported(code: str) -> set[str]:
    """The slow modules that a program of its own has imported."""
    program = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return SLOW & set(run.stderr.split())


@pytest.mark.parametrize(("encoder", "cell"), [("tiny", "lstm"), ("mobilenet_v2", "lstm"), ("convnext_tiny", "peephole")])
def test_captioning_imports_no_heavy_library_but_torch(encoder: str, cell: str, tmp_path: Path) -> None:
    photo, folder = tmp_path / "photo.jpg", tmp_path / "model"
    Image.new("RGB", (80, 60), "red").save(photo)
    save_pretrained(untrained_model(encoder, cell), folder)
    command = ["caption", str(photo), "--model", str(folder), "--csv", str(tmp_path / "captions.csv")]
    assert not imported(f"import showattend.cli.main\nassert showattend.cli.main.main({command!r}) == 0")
    assert (tmp_path / "captions.csv").exists()


def test_no_part_of_a_decoder_needs_the_compiler_to_be_built() -> None:
    assert not imported("""
from showattend.cells import cell_names, find_cell
from showattend.cells.initialisation import SCHEMES
from showattend.attention import attention_names
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder
from showattend.pretrained import empty_weights

with empty_weights():
    for cell in cell_names():
        for scheme in SCHEMES:
            options = {"initialisation": scheme}
            config = DecoderConfig(hidden_size=8, cell=cell, layers=find_cell(cell).min_layers, cell_options=options)
            Decoder(config, vocabulary_size=9, encoder_dim=8)
    for attention in attention_names():
        config = DecoderConfig(attention=attention, initialisation="xu2015", gate="vector", projection_dim=16, init_layers=2)
        Decoder(config, vocabulary_size=9, encoder_dim=8)
""")
