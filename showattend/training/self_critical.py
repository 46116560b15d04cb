"""Self-critical training on the metric itself: sampled captions are rewarded by their CIDEr-D."""

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from showattend.config_checks import from_mapping
from showattend.data.batches import Batch
from showattend.decoding import GenerationConfig, generate
from showattend.metrics import CiderD
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.training.base import BaseLitModule
from showattend.training.config import RefineConfig
from showattend.training.losses import caption_log_likelihoods, leave_one_out, reinforce_loss
from showattend.training.processes import average, mean_weights
from showattend.training.start import load_start
from showattend.vocabulary import END, FORBIDDEN_IDS, PAD, SPECIALS, START, Vocabulary


class LitSelfCritical(BaseLitModule):
    """Self-critical sequence training of a finished model (Rennie et al. 2017)."""

    def __init__(self, vocabulary: Vocabulary, config: RefineConfig, *, trust: Collection[str] = ()) -> None:
        """Load the model; its decoder is trained, its encoder stays as it is.

        Args:
            vocabulary: of the data, which must be the model's
            trust: modules of the user's own that the model's files may import

        Raises:
            InputError: the model cannot be loaded, or has another vocabulary.
        """
        model = load_start(config.start, vocabulary, trust=trust)
        generation = from_mapping(GenerationConfig, {**asdict(model.generation), **(config.generation or {})}, section="generation")
        model.network.decoder.requires_grad_(True)
        super().__init__(
            model.network,
            model.vocabulary,
            preprocessing=model.preprocessing,
            generation=generation,
            optimizer=config.optimizer,
        )
        self.config = config.self_critical
        # A plain dictionary, so that checkpoints load with weights_only.
        self.save_hyperparameters(asdict(config))
        self.sampling_config = GenerationConfig(
            beam=1,
            sample=True,
            num_captions=self.config.samples,
            max_length=generation.max_length,
            temperature=self.config.temperature,
        )
        self.greedy_config = GenerationConfig(beam=1, max_length=generation.max_length)
        self.reward_seconds = 0.0  # in this step

    def train(self, mode: bool = True) -> "LitSelfCritical":
        """The network stays in eval mode: captions are drawn without dropout, see `_logits`."""
        super().train(mode)
        self.network.eval()
        return self

    def on_fit_start(self) -> None:
        """Count the n-grams of all training captions for CIDEr-D."""
        data = self.trainer.datamodule.datasets["train"]  # type: ignore[attr-defined]
        self.rows = {photo: row for row, photo in enumerate(data.ids)}
        self.rewards = CiderD([[[*caption, SPECIALS[END]] for caption in captions] for captions in data.references])

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The self-critical loss of one batch."""
        loss, rewards, lengths = self._losses(batch)
        # Of several processes each has its share of the photos, and of the sampled words.
        counts = torch.stack([lengths.new_full((), len(lengths)), lengths.sum()]) * batch.is_counted
        photo_weight, word_weight = mean_weights(counts)
        self.log("train_reward", average(rewards.mean() * photo_weight), prog_bar=True, batch_size=len(batch.ids))
        self.log("train_length", average(lengths.float().mean() * photo_weight), batch_size=len(batch.ids))
        weighted: Tensor = loss * word_weight
        return weighted

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Minus the advantage of each sampled caption times its log-probability, per word (Rennie et al. 2017, eq. 5-7).

        Returns:
            the loss, a scalar; the captions' rewards (N,S); and their lengths with `<end>` (N,S)
        """
        encoder_features = self.network.encode_photos(batch.photos)
        token_ids = self._sample(encoder_features, self.sampling_config)
        rewards = self._reward(batch.ids, token_ids)
        if self.config.baseline == "greedy":
            baselines = self._reward(batch.ids, self._sample(encoder_features, self.greedy_config))
        else:
            baselines = leave_one_out(rewards)
        input_ids, target_ids, mask = teacher_forcing_split(pad(token_ids, (1, 0), value=START))
        # The sampling distribution: special tokens have no probability, or the gradient would change theirs too.
        logits = self._logits(encoder_features, input_ids).index_fill(1, torch.tensor(FORBIDDEN_IDS, device=token_ids.device), -torch.inf)
        logits = logits / self.config.temperature
        log_likelihoods = caption_log_likelihoods(logits, flatten_tokens(target_ids, mask), mask)
        return reinforce_loss(log_likelihoods, rewards - baselines) / mask.sum(), rewards, mask.sum(-1)

    def _logits(self, encoder_features: Tensor, input_ids: Tensor) -> Tensor:
        """Logits (M,V) of the drawn captions, with the decoder's dropout if the configuration says so."""
        self.network.decoder.train(self.config.dropout)
        logits: Tensor = self.network(Features(encoder_features), input_ids).logits
        self.network.decoder.eval()
        return logits

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Note the time."""
        self.step_start, self.reward_seconds = time.perf_counter(), 0.0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log the share of the step's time that the rewards took."""
        self.log("reward_share", self.reward_seconds / (time.perf_counter() - self.step_start), batch_size=len(batch.ids))

    def _sample(self, encoder_features: Tensor, generation: GenerationConfig) -> Tensor:
        """Token ids of generated captions, the longest of a photo first, (N,S,T)."""
        keys = torch.randint(2**31, (len(encoder_features),)).tolist()
        with torch.no_grad():
            token_ids = generate(*self.network.make_step_function(Features(encoder_features)), generation, keys).token_ids
        order = (token_ids != PAD).sum(-1).argsort(1, descending=True)
        return token_ids.gather(1, order.unsqueeze(-1).expand_as(token_ids))

    def _reward(self, ids: Sequence[int | str], token_ids: Tensor) -> Tensor:
        """CIDEr-D of captions (N,S,T), (N,S); `<end>` counts as a word, or captions would learn to stop early."""
        start = time.perf_counter()
        captions, samples = [], token_ids.shape[1]
        for ids_of_caption in token_ids.flatten(0, 1).tolist():
            words = self.vocabulary.decode_words(ids_of_caption)
            captions.append([*words, SPECIALS[END]] if END in ids_of_caption else words)
        photos = [self.rows[photo] for photo in ids for _ in range(samples)]
        scores = self.rewards.scores(photos, captions)
        self.reward_seconds += time.perf_counter() - start
        return torch.tensor(scores, dtype=torch.float32, device=token_ids.device).view(-1, samples)
