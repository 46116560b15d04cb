"""scripts/bench_peers.py on tiny sizes: a stranger's decoder gets equal losses and captions, or the table says that it is another model."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "scripts"
TINY = ["--sizes=D=16,H=12,A=10,E=14,V=30", "--locations=9", "--length=8", "--images=2", "--photos=2", "--tiny", "--fuse=never"]
# In the layout of a tutorial that many programs were copied from: captions sorted by lengths, ReLU in the attention, a gate a channel.
TUTORIAL = """
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, encoder_dim, decoder_dim, attention_dim):
        super().__init__()
        self.encoder_att = nn.Linear(encoder_dim, attention_dim)
        self.decoder_att = nn.Linear(decoder_dim, attention_dim)
        self.full_att = nn.Linear(attention_dim, 1)
        self.relu = nn.ReLU()

    def forward(self, encoder_out, h):
        energies = self.full_att(self.relu(self.encoder_att(encoder_out) + self.decoder_att(h).unsqueeze(1))).squeeze(2)
        alpha = energies.softmax(dim=1)
        return (encoder_out * alpha.unsqueeze(2)).sum(dim=1), alpha


class DecoderWithAttention(nn.Module):
    def __init__(self, attention_dim, embed_dim, decoder_dim, vocab_size, encoder_dim=2048, dropout=0.5):
        super().__init__()
        self.encoder_dim, self.vocab_size = encoder_dim, vocab_size
        self.attention = Attention(encoder_dim, decoder_dim, attention_dim)
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.dropout = nn.Dropout(p=dropout)
        self.decode_step = nn.LSTMCell(embed_dim + encoder_dim, decoder_dim)
        self.init_h = nn.Linear(encoder_dim, decoder_dim)
        self.init_c = nn.Linear(encoder_dim, decoder_dim)
        self.f_beta = nn.Linear(decoder_dim, encoder_dim)
        self.fc = nn.Linear(decoder_dim, vocab_size)

    def step(self, embedding, encoder_out, h, c):
        awe, alpha = self.attention(encoder_out, h)
        awe = torch.sigmoid(self.f_beta(h)) * awe
        return self.decode_step(torch.cat([embedding, awe], dim=1), (h, c)), alpha

    def start(self, encoder_out):
        mean = encoder_out.mean(dim=1)
        return self.init_h(mean), self.init_c(mean)

    def forward(self, encoder_out, encoded_captions, caption_lengths):
        encoder_out = encoder_out.view(len(encoder_out), -1, self.encoder_dim)
        caption_lengths, sort_ind = caption_lengths.squeeze(1).sort(dim=0, descending=True)
        encoder_out, encoded_captions = encoder_out[sort_ind], encoded_captions[sort_ind]
        embeddings = self.embedding(encoded_captions)
        h, c = self.start(encoder_out)
        lengths = (caption_lengths - 1).tolist()
        predictions = torch.zeros(len(lengths), max(lengths), self.vocab_size)
        for t in range(max(lengths)):
            n = sum(length > t for length in lengths)
            (h, c), _ = self.step(embeddings[:n, t], encoder_out[:n], h[:n], c[:n])
            predictions[:n, t] = self.fc(self.dropout(h))
        return predictions, encoded_captions, lengths, sort_ind


@torch.no_grad()
def beam_search(decoder, features, beam, max_length):
    h, c = decoder.start(features)
    ids, token = [], torch.tensor([1])
    for _ in range(max_length):
        (h, c), _ = decoder.step(decoder.embedding(token), features, h, c)
        token = decoder.fc(h).argmax(1)
        ids.append(int(token))
    return ids
"""


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Runs the benchmark and returns what it prints; every stranger is a module of his own."""
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    monkeypatch.setattr(import_module("bench_common"), "PEAK_SIZE", 64)
    monkeypatch.setitem(sys.modules, "transformers", None)
    threads = torch.get_num_threads()

    def run(*arguments: object) -> str:
        import_module("bench_peers").main([*map(str, arguments), *TINY, f"--threads={threads}", f"--json={tmp_path / 'peers.json'}"])
        return capsys.readouterr().out

    return run


def stranger(folder: Path, name: str, text: str = TUTORIAL) -> tuple[object, ...]:
    """The options for a program whose module is called `name`."""
    (folder / f"{name}.py").write_text(text)
    return "--folder", folder, "--decoder", f"{name}:DecoderWithAttention"


def test_a_decoder_with_a_search_of_its_own_gets_equal_losses_and_captions(peers: Callable[..., str], tmp_path: Path) -> None:
    printed = peers("train-same", "train-grouped", "beam")
    assert printed.count("loss equal to") == 2
    assert printed.count("2 of 2 greedy captions") == 2
    assert "2 of 2 captions equal" in printed
    assert "GFLOP/s" in printed.splitlines()[0]
    rows = json.loads((tmp_path / "peers.json").read_text())
    assert [row["case"] for row in rows] == ["train-same", "train-grouped", "beam"]
    assert all(row["ratio"] == row["theirs_s"] / row["ours_s"] for row in rows)


def test_a_tutorial_s_decoder_is_recognised_by_shapes(peers: Callable[..., str], tmp_path: Path) -> None:
    printed = peers("train-same", "beam", *stranger(tmp_path, "tutorial"))
    assert "2 of 2 greedy captions, with tanh for their ReLU" in printed
    assert "the stranger has no search: name a function with --search MODULE:FUNCTION" in printed
    with_tanh = stranger(tmp_path, "paper", TUTORIAL.replace("nn.ReLU()", "nn.Tanh()").replace("[embedding, awe]", "[awe, embedding]"))
    printed = peers("train-grouped", "beam", "--search", "paper:beam_search", *with_tanh)
    assert "2 of 2 greedy captions\n" in printed
    assert "of 2 captions equal" in printed


def test_another_model_is_timed_all_the_same(peers: Callable[..., str], tmp_path: Path) -> None:
    cells = (
        TUTORIAL.replace("nn.LSTMCell", "nn.GRUCell")
        .replace("(h, c))", "h), c")
        .replace("return self.decode_step", "return (self.decode_step")
    )
    other = cells.replace("dim=1), h), c, alpha", "dim=1), h), c), alpha")
    assert "another model: decode_step" in peers("train-same", *stranger(tmp_path, "gated", other))
    other = TUTORIAL.replace("torch.sigmoid(self.f_beta(h))", "torch.tanh(self.f_beta(h))")
    assert "another model: the losses of small twins differ by" in peers("train-same", *stranger(tmp_path, "bounded", other))


def test_captions_that_a_stranger_sorts_come_back_in_their_order(peers: Callable[..., str], tmp_path: Path) -> None:
    calls = import_module("bench_peers_stranger")
    (tmp_path / "sorting.py").write_text(TUTORIAL)
    decoder = calls.build(calls.find(tmp_path, "sorting:DecoderWithAttention"), calls.Sizes(5, 7, 11, 13, 23), {})
    features, token_ids = torch.rand(3, 4, 5), torch.tensor([[1, 5, 2, 0, 0], [1, 6, 7, 8, 2], [1, 9, 9, 2, 0]])
    logits = calls.logits_of(decoder, features, token_ids)
    for row, length in enumerate((2, 4, 3)):
        alone = calls.logits_of(decoder, features[row : row + 1], token_ids[row : row + 1, : length + 1])
        assert torch.allclose(logits[row, :length], alone[0], atol=1e-6)


def test_without_transformers_one_line_says_so(peers: Callable[..., str]) -> None:
    assert "skipped: Hugging Face's library is not here: pip install transformers" in peers("files")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no strange"),
        (TUTORIAL.replace("attention_dim, embed_dim,", "attention_dim, opt, embed_dim,"), "give --set opt=VALUE"),
    ],
)
def test_what_is_not_understood_is_one_line(
    text: str, message: str, peers: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"strange{len(text)}"
    with pytest.raises(SystemExit):
        peers("train-same", *stranger(tmp_path, name, text))
    assert message in capsys.readouterr().err.splitlines()[-1]
