"""A second training, on the metric itself: captions that the model draws are rewarded by their CIDEr-D."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from showattend.data.batches import Batch
from showattend.decoding import FORBIDDEN_IDS, GenerationConfig, generate
from showattend.errors import InputError
from showattend.metrics import CiderD
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.pretrained import load_pretrained
from showattend.training.base import OPTIMIZERS, BaseLitModule, check_names
from showattend.training.losses import caption_log_likelihoods, leave_one_out, reinforce_loss
from showattend.training.schedules import SCHEDULES
from showattend.vocabulary import END, PAD, SPECIALS, START

BASELINES = ("greedy", "leave_one_out")


class LitSelfCritical(BaseLitModule):
    """Self-critical sequence training of a finished model (Rennie et al. 2017)."""

    def __init__(
        self,
        tokens: list[str],
        start: str,
        samples: int = 5,
        temperature: float = 1.0,
        baseline: str = "leave_one_out",
        optimizer: str = "adamw",
        optimizer_options: dict[str, Any] | None = None,
        learning_rate: float = 3e-5,
        weight_decay: float = 0.0,
        warmup: float = 0.02,
        schedule: str = "linear",
        beam: int | None = None,
        max_length: int | None = None,
        length_penalty: float | None = None,
    ) -> None:
        """Load the model; its decoder goes on learning, its encoder stays.

        Args:
            tokens: the vocabulary of the data, which must be the model's
            start: folder of the finished model to go on from
            samples: captions drawn for each photo in a step
            temperature: of the draws, and of the probabilities that learn from them; below 1 they lie nearer to what search finds, which a
                model trained with label smoothing needs
            baseline: greedy: the reward of the caption found greedily (Rennie et al. 2017, eq. 7), which costs one more search;
                leave_one_out: the mean reward of the photo's other samples (Luo 2020), which costs nothing
            optimizer: adamw, adam or rmsprop
            optimizer_options: the optimiser's own
            learning_rate: at its peak, after the warm-up
            weight_decay: of matrices; vectors are left alone
            warmup: share of the training in which the learning rate rises
            schedule: cosine, linear or constant, after the warm-up
            beam: hypotheses per photo at validation, and the finished model's default; null: as the model has it
            max_length: words of a caption at most, <end> counted; null: as the model has it
            length_penalty: exponent of the length by which a log-probability is divided; null: as the model has it
        """
        check_names(optimizer=(optimizer, OPTIMIZERS), schedule=(schedule, SCHEDULES), baseline=(baseline, BASELINES))
        least = 2 if baseline == "leave_one_out" else 1
        if samples < least:
            raise InputError(f"samples is {samples}: give at least {least} with the baseline {baseline}")
        model = load_pretrained(Path(start))
        if model.vocabulary.tokens != tokens:
            raise InputError(f"{start} was trained on other words than these data have: give the same data and --data.min_count")
        given: dict[str, Any] = {"beam": beam, "max_length": max_length, "length_penalty": length_penalty}
        search = replace(model.search, **{name: value for name, value in given.items() if value is not None})
        model.network.decoder.requires_grad_(True)
        super().__init__(model.network, model.vocabulary, model.preprocessing, search)
        self.save_hyperparameters(ignore=["tokens"])
        self.drawing = GenerationConfig(beam=1, sample=True, num_captions=samples, max_length=search.max_length, temperature=temperature)
        self.greedy = GenerationConfig(beam=1, max_length=search.max_length)

    def train(self, mode: bool = True) -> "LitSelfCritical":
        """The network stays in eval mode: what is rewarded was drawn without dropout, and so it is learned without."""
        super().train(mode)
        self.network.eval()
        return self

    def on_fit_start(self) -> None:
        """Count the n-grams of all training captions: they weigh the rewards."""
        data = self.trainer.datamodule.datasets["train"]  # type: ignore[attr-defined]
        self.rows = {photo: row for row, photo in enumerate(data.ids)}
        self.rewards = CiderD([[[*caption, SPECIALS[END]] for caption in captions] for captions in data.references])

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """One batch's loss, with what it is rewarded for."""
        loss, rewards, lengths = self._losses(batch)
        self.log("train_reward", rewards.mean(), prog_bar=True, batch_size=len(batch.ids))
        self.log("train_length", lengths.float().mean(), batch_size=len(batch.ids))
        return loss

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Minus the advantage of each caption drawn times its log-probability, per word (Rennie et al. 2017, eq. 5-7).

        Returns:
            the loss, a scalar; the captions' rewards (N,S); and their lengths with `<end>` (N,S)
        """
        encoder_features = self.network.encode_photos(batch.photos)
        words = self._draw(encoder_features, self.drawing)
        began = time.perf_counter()
        rewards = self._reward(batch.ids, words)
        self.rating = time.perf_counter() - began
        if self.hparams["baseline"] == "greedy":
            baselines = self._reward(batch.ids, self._draw(encoder_features, self.greedy))
        else:
            baselines = leave_one_out(rewards)
        heard, targets, mask = teacher_forcing_split(pad(words, (1, 0), value=START))
        # The probabilities that the draws come from: special words have none, or the gradient would push at them too.
        logits = self.network(Features(encoder_features), heard).logits.index_fill(
            1, torch.tensor(FORBIDDEN_IDS, device=words.device), -torch.inf
        )
        logits = logits / self.hparams["temperature"]
        log_likelihoods = caption_log_likelihoods(logits, flatten_tokens(targets, mask), mask)
        return reinforce_loss(log_likelihoods, rewards - baselines) / mask.sum(), rewards, mask.sum(-1)

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Look at the clock."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log the share of the step that went into rewards."""
        self.log("reward_share", self.rating / (time.perf_counter() - self.began), batch_size=len(batch.ids))

    def _draw(self, encoder_features: Tensor, search: GenerationConfig) -> Tensor:
        """Captions, the longest of a photo first, (N,S,T)."""
        keys = torch.randint(2**31, (len(encoder_features),)).tolist()
        with torch.no_grad():
            words = generate(*self.network.make_step_function(Features(encoder_features)), search, keys).token_ids
        order = (words != PAD).sum(-1).argsort(1, descending=True)
        return words.gather(1, order.unsqueeze(-1).expand_as(words))

    def _reward(self, ids: Sequence[int | str], words: Tensor) -> Tensor:
        """CIDEr-D of captions (N,S,T), (N,S); `<end>` counts as a word, or captions would learn to break off."""
        samples = words.shape[1]
        captions = []
        for numbers in words.flatten(0, 1).tolist():
            said = self.vocabulary.decode(numbers)
            captions.append([*said, SPECIALS[END]] if END in numbers else said)
        photos = [self.rows[photo] for photo in ids for _ in range(samples)]
        return torch.tensor(self.rewards.scores(photos, captions), dtype=torch.float32, device=words.device).view(-1, samples)
