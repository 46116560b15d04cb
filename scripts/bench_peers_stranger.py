"""A stranger's decoder made callable: built by what it calls its sizes, called by what it takes."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.errors import InputError
from showattend.vocabulary import END, PAD, START, UNKNOWN


class Sizes(NamedTuple):
    """Feature channels, hidden units, attention units, embedding channels, vocabulary."""

    D: int = 2048
    H: int = 512
    A: int = 512
    E: int = 512
    V: int = 10_000


# What the arguments of constructors are called.
NAMES = {
    "D": ("D", "encoder_dim", "encoder_size", "enc_dim", "feature_dim", "feature_size", "features_dim"),
    "H": ("H", "decoder_dim", "hidden_size", "hidden_dim", "dec_dim", "rnn_size", "lstm_size"),
    "A": ("A", "attention_dim", "attention_size", "attn_dim", "att_dim", "att_size", "attn_size"),
    "E": ("E", "embed_dim", "embed_size", "embedding_size", "embedding_dim", "emb_dim", "emb_size", "word_dim"),
    "V": ("V", "vocab_size", "vocabulary_size", "num_words", "num_embeddings", "vocab_len", "n_vocab"),
}


def find(folder: Path | None, path: str) -> Any:
    """What a path MODULE:NAME in a stranger's folder means; his modules are found before ours.

    Raises:
        InputError: there is no such module or name.
    """
    if folder:
        sys.path.insert(0, str(folder.resolve()))
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"there is no {path} in {folder or 'the search path'} ({error}): give MODULE:NAME and its --folder") from error


def build(decoder: Callable[..., nn.Module], sizes: Sizes, given: Mapping[str, Any]) -> nn.Module:
    """A stranger's decoder of these sizes, without dropout.

    Args:
        given: values of arguments that have other names

    Raises:
        InputError: an argument without default is not understood.
    """
    known = {alias: getattr(sizes, letter) for letter, names in NAMES.items() for alias in names}
    arguments, unknown = {}, []
    for name, parameter in inspect.signature(decoder).parameters.items():
        if name in given or name in known:
            arguments[name] = given.get(name, known.get(name))
        elif "drop" in name:
            arguments[name] = 0.0
        elif parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            unknown.append(name)
    if unknown:
        raise InputError(f"the decoder takes {', '.join(unknown)} too, which are not understood: give --set {unknown[0]}=VALUE")
    return decoder(**arguments)


def logits_of(decoder: nn.Module, features: Tensor, token_ids: Tensor) -> Tensor:
    """Logits of a stranger's teacher forcing, (B,T,V), in the order of the captions.

    Args:
        features: one map for each caption, (B,L,D)
        token_ids: with `<start>`, and `<end>` where there is one, then `<pad>`, (B,T+1)

    Raises:
        InputError: forward takes or returns something else.
    """
    needed = [p for p in inspect.signature(decoder.forward).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    lengths, steps = (token_ids != PAD).sum(1, keepdim=True), token_ids.shape[1] - 1
    calls = {2: [(token_ids[:, :-1],), (token_ids,)], 3: [(token_ids, lengths), (token_ids[:, :-1], lengths - 1)]}
    for arguments in calls.get(len(needed), []):
        output = decoder(features, *arguments)
        tensors = [entry for entry in (output if isinstance(output, tuple | list) else [output]) if isinstance(entry, Tensor)]
        logits = next((entry for entry in tensors if entry.dim() == 3 and entry.shape[1] == steps and entry.is_floating_point()), None)
        if logits is not None:
            return logits[_sorting(tensors, len(features)).argsort()]
    raise InputError(
        f"forward({', '.join(p.name for p in needed)}) gives no logits (captions, tokens, words): wrap the decoder in a class of your own "
        "with forward(features, input_ids), and name that"
    )


def _sorting(tensors: list[Tensor], rows: int) -> Tensor:
    """The order in which a stranger has sorted the captions, if it is among the results."""
    identity = torch.arange(rows)
    return next((entry for entry in tensors if entry.shape == (rows,) and torch.equal(entry.sort().values, identity)), identity)


def loss_of(decoder: nn.Module, features: Tensor, token_ids: Tensor) -> Tensor:
    """The mean negative log-likelihood of captions (B,T+1) by a stranger."""
    return F.cross_entropy(logits_of(decoder, features, token_ids).flatten(0, 1), token_ids[:, 1:].flatten(), ignore_index=PAD)


@torch.no_grad()
def greedy(decoder: nn.Module, features: Tensor, max_length: int) -> list[list[int]]:
    """The most probable next token again and again, by a stranger's teacher forcing: captions without `<end>`."""
    token_ids = torch.full((len(features), 1), START)
    for _ in range(max_length):
        logits = logits_of(decoder, features, F.pad(token_ids, (0, 1), value=END))[:, -1].clone()
        logits[:, [PAD, START, UNKNOWN]] = -torch.inf
        token_ids = torch.cat((token_ids, logits.argmax(1, keepdim=True)), 1)
    captions = token_ids[:, 1:].tolist()
    return [caption[: caption.index(END)] if END in caption else caption for caption in captions]
