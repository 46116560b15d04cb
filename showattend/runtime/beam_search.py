"""Beam search in NumPy: the hypotheses of `decoding.generate`, over any step function and without torch.

N photos have K hypotheses each, which advance together; `decoding.generation` explains the rules.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from showattend.arrays import Bools, Ints
from showattend.errors import InputError
from showattend.generation_config import RANKINGS, GenerationConfig
from showattend.vocabulary import END, FORBIDDEN_IDS, PAD, START

Float32s = NDArray[np.float32]
State = Sequence[NDArray[Any]]  # tensors (N,G, ...)
# (token_ids (N,G), state) -> log-probabilities (N,G,V), state, alpha (N,G,L); G is 1 at the first step
StepFunction = Callable[[Ints, State], tuple[Float32s, State, Float32s]]


class Hypotheses(NamedTuple):
    """C captions for each of N photos, the best first: token ids (N,C,T), scores (N,C), alphas (N,C,T,L); see `decoding.Hypotheses`."""

    token_ids: Ints
    scores: Float32s
    alphas: Float32s


class _Progress(NamedTuple):
    """Log-probability, length, whether `<end>` was reached and whether the search is over, of each hypothesis, (N,K)."""

    log_probs: Float32s
    lengths: Ints
    ended: Bools
    done: Bools


def check_supported(config: GenerationConfig) -> None:
    """Refuse what only torch's search can do.

    Raises:
        InputError: sampling, groups of beams, required words, or a ranking of what the beams found.
    """
    searches_plainly = {
        "sample": not config.sample,
        "groups": config.groups == 1,
        "must_include": not config.must_include,
        **{name: name not in config.rankings for name in RANKINGS},
    }
    for name, is_plain in searches_plainly.items():
        if not is_plain:
            raise InputError(f"an exported model is searched with plain beams, without {name}: caption with the model folder itself")


def generate(step: StepFunction, state: State, config: GenerationConfig) -> Hypotheses:
    """Search for captions of N photos.

    Args:
        state: before the first word, tensors (N,1, ...)

    Raises:
        InputError: see `check_supported`.
    """
    check_supported(config)
    photos, beams = len(state[0]), config.beam
    none = np.zeros((photos, beams), dtype=bool)
    start = np.full((photos, beams), -np.inf, dtype=np.float32)
    start[:, 0] = 0.0  # one empty hypothesis: K of them would stay K copies of the same caption
    progress = _Progress(start, np.zeros((photos, beams), dtype=np.int64), none, none)
    token_ids = np.full((photos, 1), START)
    token_history = np.zeros((photos, beams, 0), dtype=np.int64)
    history: list[tuple[Ints, Ints, Float32s]] = []
    for _ in range(config.max_length):
        log_probs, state, alpha = step(token_ids, state)
        allowed = np.broadcast_to(_constrain(log_probs.copy(), token_history, config), (photos, beams, log_probs.shape[-1]))
        parents, token_ids, progress = _extend(progress, allowed)
        rows = np.minimum(parents, alpha.shape[1] - 1)  # before the first word all hypotheses are one row
        state = [_take(entry, rows) for entry in state]
        token_history = np.concatenate((_take(token_history, parents), token_ids[..., None]), -1)
        history.append((parents, token_ids, _take(alpha, rows)))
        progress = _mark_done(progress, config)
        if progress.done.all():
            break
    scores = _scores(progress, progress.lengths, config)
    return _backtrack(history, scores, np.lexsort((-scores, ~progress.ended))[:, : config.num_captions])


def _take(values: NDArray[Any], rows: Ints) -> NDArray[Any]:
    """The rows of each photo, (N,G,...) and (N,K) to (N,K,...)."""
    return values[np.arange(len(values))[:, None], rows]


def _constrain(log_probs: Float32s, history: Ints, config: GenerationConfig) -> Float32s:
    """-inf for special and banned tokens, repeated n-grams, and `<end>` before min_length unless no other token is left, (N,G,V)."""
    length, ngram = history.shape[-1], config.no_repeat_ngram
    log_probs[..., [*FORBIDDEN_IDS, *config.ban]] = -np.inf
    if ngram and length >= ngram:
        context = history[..., None, length - ngram + 1 :]
        matches = (sliding_window_view(history[..., :-1], ngram - 1, -1) == context).all(-1) if ngram > 1 else np.ones(history.shape, bool)
        photo, row, at = np.nonzero(matches)
        log_probs[photo, row, history[photo, row, at + ngram - 1]] = -np.inf
    if length < config.min_length:
        end = log_probs[..., END].copy()
        log_probs[..., END] = -np.inf
        log_probs[..., END] = np.where(log_probs.max(-1) == -np.inf, end, -np.inf)
    return log_probs


def _extend(progress: _Progress, next_log_probs: Float32s) -> tuple[Ints, Ints, _Progress]:
    """The K best continuations of each photo; an ended hypothesis stays, by the key +inf at `<pad>`.

    Returns:
        parents (N,K), token ids (N,K), and the progress
    """
    (photos, beams), vocabulary_size = progress.lengths.shape, next_log_probs.shape[-1]
    frozen = progress.ended | progress.done
    keys = next_log_probs + np.where(frozen, -np.inf, progress.log_probs).astype(np.float32)[..., None]
    keys[..., PAD] = np.where(frozen, np.inf, -np.inf)
    flat = keys.reshape(photos, -1)
    best = np.argpartition(-flat, beams - 1)[:, :beams]
    best = _take(best, np.argsort(-_take(flat, best), kind="stable"))
    parents, token_ids = np.divmod(best, vocabulary_size)
    chosen = _take(flat, best)
    log_probs = np.where(chosen == np.inf, _take(progress.log_probs, parents), chosen)
    exists = log_probs > -np.inf
    ended = _take(progress.ended, parents) & exists  # no impossible continuation of an ended hypothesis
    lengths = _take(progress.lengths, parents) + ~(ended | progress.done)
    return parents, token_ids, _Progress(log_probs, lengths, ended | ((token_ids == END) & exists), progress.done)


def _scores(progress: _Progress, lengths: Ints, config: GenerationConfig) -> Float32s:
    """Log-probability over length ** length_penalty, (N,K)."""
    return progress.log_probs / np.maximum(lengths, 1).astype(np.float32) ** np.float32(config.length_penalty)


def _mark_done(progress: _Progress, config: GenerationConfig) -> _Progress:
    """A photo is done when no unfinished hypothesis can overtake the last of the best `num_captions` ended ones."""
    scores = np.where(progress.ended, _scores(progress, progress.lengths, config), -np.inf)
    # A log-probability only falls, and the longest caption divides it by the most.
    longest = np.full_like(progress.lengths, config.max_length)
    bounds = np.where(progress.ended, -np.inf, _scores(progress, longest, config))
    last = -np.sort(-scores)[:, config.num_captions - 1]
    return progress._replace(done=progress.done | (last >= bounds.max(-1))[:, None])


def _backtrack(history: Sequence[tuple[Ints, Ints, Float32s]], scores: Float32s, order: Ints) -> Hypotheses:
    """The hypotheses `order` (N,C) of the last step, read along the back-pointers."""
    current, token_ids, alphas = order, [], []
    for parents, tokens, alpha in reversed(history):
        chosen = _take(tokens, current)
        token_ids.append(chosen)
        alphas.append(_take(alpha, current) * (chosen != PAD)[..., None])
        current = _take(parents, current)
    return Hypotheses(np.stack(token_ids[::-1], -1), _take(scores, order), np.stack(alphas[::-1], -2))
