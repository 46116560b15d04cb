"""The suite's trained model, exported once."""

from pathlib import Path

import pytest

from showattend.cli.main import main

pytest.importorskip("onnxruntime", reason="exports are not tested: pip install 'showattend[onnx]'")
pytest.importorskip("onnxscript", reason="exports are not tested: pip install 'showattend[onnx]'")


@pytest.fixture(scope="session")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    assert main(["export", "--model", str(model), "--out", str(folder)]) == 0
    return folder
