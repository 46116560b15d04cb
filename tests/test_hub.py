"""Models on the Hugging Face Hub: its own client against a server of this test that speaks the few calls of its HTTP API."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from showattend.errors import InputError
from showattend.pretrained import find_model_folder, push_to_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One repository, ada/model, whose files are committed with their content inside the request."""

    files: ClassVar[dict[str, bytes]] = {}
    created: ClassVar[list[dict[str, object]]] = []

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.created.append(json.loads(body))
            self.answer({"url": f"http://{self.headers['Host']}/ada/model"})
        elif self.path.startswith("/api/models/ada/model/preupload/"):
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif self.path.startswith("/api/models/ada/model/commit/"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": f"http://{self.headers['Host']}/ada/model/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.answer({})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/api/models/ada/model/tree/"):
            self.answer([{"type": "file", "path": path, "size": len(body), "oid": COMMIT} for path, body in self.files.items()])
        elif self.path.startswith("/api/models/ada/model"):
            self.answer({"id": "ada/model", "sha": COMMIT, "private": False, "siblings": [{"rfilename": path} for path in self.files]})
        elif self.path.startswith("/ada/model/resolve/") and name in self.files:
            self.answer(self.files[name], ETag=f'"{hashlib.sha256(self.files[name]).hexdigest()}"')
        else:
            self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a program that takes the server for the Hub."""
    pytest.importorskip("huggingface_hub", reason="pip install 'showattend[hub]'")
    Hub.files, Hub.created = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])]),
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    server.shutdown()
    server.server_close()


def run(code: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


PUSH = """
from factories import untrained_model
from PIL import Image
from showattend import Captioner
captioner = Captioner(untrained_model(), "cpu")
print(captioner.push_to_hub("ada/model", private=True))
print(captioner.caption(Image.new("RGB", (80, 60), "red")))
"""
PULL = """
from PIL import Image
from showattend import Captioner
print(Captioner.from_pretrained("ada/model", "cpu").caption(Image.new("RGB", (80, 60), "red")))
"""


def test_a_pushed_model_comes_back_by_its_name_and_without_a_network_from_the_cache(hub: dict[str, str], tmp_path: Path) -> None:
    address, caption = run(PUSH, hub, tmp_path).splitlines()
    assert address == f"{hub['HF_ENDPOINT']}/ada/model"
    assert [one["name"] for one in Hub.created] == ["model"]
    assert Hub.created[0].get("visibility") == "private" or Hub.created[0]["private"]  # as versions 2 and 1 ask for it
    assert set(Hub.files) == {"README.md", "config.json", "metrics.json", "model.safetensors", "vocabulary.json"}
    assert Hub.files["README.md"].startswith(b"---\nlibrary_name: showattend\n")
    assert run(PULL, hub, tmp_path).strip() == caption
    assert run(PULL, {**hub, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}, tmp_path).strip() == caption


def test_a_model_that_the_hub_does_not_have_is_one_line(hub: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "showattend", "caption", "photo.jpg", "--model", "eve/nothing"]
    (tmp_path / "photo.jpg").write_bytes(b"")
    done = subprocess.run(command, env=hub, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no model folder at eve/nothing, and the Hugging Face Hub does not give it (" in done.stderr


def test_local_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert find_model_folder("runs/missing") == Path("runs/missing")
    assert find_model_folder("a/b/c") == Path("a/b/c")
    with pytest.raises(InputError, match="no revision 'v1'"):
        find_model_folder("runs/missing", "v1")


def test_only_a_model_folder_is_pushed_and_only_to_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no model folder"):
        push_to_hub(tmp_path, "ada/model")
    (tmp_path / "config.json").touch()
    with pytest.raises(InputError, match="give USER/NAME"):
        push_to_hub(tmp_path, "model")
