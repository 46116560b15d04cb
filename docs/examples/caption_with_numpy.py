"""Caption photos with an exported model: NumPy, Pillow and onnxruntime, and nothing of showattend.

python caption_with_numpy.py exported photo.jpg …
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


class Captioner:
    """The three graphs of an exported folder, with a beam search over them."""

    def __init__(self, folder: Path) -> None:
        self.contract = json.loads((folder / "contract.json").read_text())
        self.tokens = json.loads((folder / "vocabulary.json").read_text())
        self.graphs = {name: onnxruntime.InferenceSession(folder / graph["file"]) for name, graph in self.contract["graphs"].items()}

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a graph by their names."""
        names = [output["name"] for output in self.contract["graphs"][graph]["outputs"]]
        return dict(zip(names, self.graphs[graph].run(names, inputs), strict=True))

    def pixels(self, photo: Image.Image) -> np.ndarray:
        """The photo, all of it or its middle, as bytes (1,3,S,S)."""
        photo, side = ImageOps.exif_transpose(photo).convert("RGB"), self.contract["preprocessing"]["image_size"]
        box = (0.0, 0.0, float(photo.width), float(photo.height))
        if self.contract["preprocessing"]["resize"] == "crop":
            edge = min(photo.size) * 224 / 256
            left, upper = (photo.width - edge) / 2, (photo.height - edge) / 2
            box = (left, upper, left + edge, upper + edge)
        photo = photo.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
        return np.asarray(photo).transpose(2, 0, 1)[None].copy()

    def caption(self, photo: Image.Image, beam: int = 3, penalty: float = 0.0) -> str:
        """The best caption of a photo."""
        first = self.run("first_state", self.run("encoder", {"pixels": self.pixels(photo)}))
        state = {name: value for name, value in first.items() if name.startswith("state_")}
        cache = {name: value for name, value in first.items() if name not in state}
        hypotheses, ended = [(0.0, [self.contract["start_id"]])], []  # log-probability and token ids
        for _ in range(self.contract["generation"]["max_length"]):
            last = np.array([[token_ids[-1] for _, token_ids in hypotheses]])
            results = self.run("step", {"token_ids": last, **state, **cache})
            log_probs = results["log_probs"][0] + np.array([[log_prob] for log_prob, _ in hypotheses])
            log_probs[:, self.contract["forbidden_ids"]] = -np.inf
            best = np.argsort(-log_probs, axis=None)[: beam - len(ended)]
            rows, tokens = np.divmod(best, log_probs.shape[1])
            grown = [(log_probs[row, token], [*hypotheses[row][1], int(token)]) for row, token in zip(rows, tokens, strict=True)]
            ended += [each for each in grown if each[1][-1] == self.contract["end_id"]]
            kept = [n for n, each in enumerate(grown) if each[1][-1] != self.contract["end_id"]]
            hypotheses = [grown[n] for n in kept]
            state = {name: results[f"next_{name}"][:, rows[kept]] for name in state}
            if not kept:
                break
        _, token_ids = max(ended or hypotheses, key=lambda each: each[0] / (len(each[1]) - 1) ** penalty)
        return " ".join(self.tokens[token_id] for token_id in token_ids[1:] if token_id != self.contract["end_id"])


if __name__ == "__main__":
    captioner = Captioner(Path(sys.argv[1]))
    for name in sys.argv[2:]:
        print(name, captioner.caption(Image.open(name)), sep="\t")
