"""The Lightning module that both kinds of training share: network, optimiser with schedule, validation by the model's own captions."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from showattend.data.batches import Batch
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.errors import InputError
from showattend.metrics import corpus_scores
from showattend.models.caption_model import CaptionModel
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.config import OPTIMIZERS, OptimizerConfig
from showattend.training.processes import average, from_first, gather, mean_weights, total
from showattend.training.schedules import learning_rate_factor
from showattend.training.weight_decay import ParameterGroup, parameter_groups
from showattend.vocabulary import PAD, Vocabulary


def batch_counts(batch: Batch) -> Tensor:
    """The numbers of words (with `<end>`), captions and photos of a process's batch, (3,); zero where it does not count."""
    words = (batch.token_ids[..., 1:] != PAD).sum(-1)
    return torch.stack([words.sum(), (words > 0).sum(), words.new_full((), len(words))]) * batch.is_counted


class BaseLitModule(lightning.LightningModule):
    """A captioning model in training; a subclass adds the loss of a step.

    Args:
        generation: how captions are generated in validation, and the finished model's default
    """

    def __init__(
        self,
        network: CaptionModel,
        vocabulary: Vocabulary,
        *,
        preprocessing: Preprocessing,
        generation: GenerationConfig,
        optimizer: OptimizerConfig,
    ) -> None:
        super().__init__()
        if generation.neighbors:
            raise InputError("neighbors cannot be used in training: leave out generation.neighbors, and add them to the finished model")
        self.network = network
        self.vocabulary = vocabulary
        self.preprocessing = preprocessing
        self.generation = generation
        self.optimizer_config = optimizer
        self.encoder_is_frozen = not any(p.requires_grad for p in network.encoder.parameters())
        self.scores: dict[str, float] = {}
        self.predictions: dict[int | str, list[str]] = {}
        self.references: dict[int | str, list[list[str]]] = {}

    def parameter_groups(self) -> list[ParameterGroup]:
        """Those of the decoder."""
        return parameter_groups(self.network.decoder, self.optimizer_config.weight_decay)

    def configure_optimizers(self) -> Any:
        """The optimiser over the parameter groups, and its learning rate schedule, in steps."""
        config = self.optimizer_config
        if math.isinf(self.trainer.estimated_stepping_batches) and config.schedule != "constant":
            raise InputError(f"the schedule '{config.schedule}' needs an end: give --trainer.max_epochs or max_steps")
        # Lightning cannot clip gradients of a fused optimiser in mixed precision.
        fused = config.name != "rmsprop" and "mixed" not in str(self.trainer.precision)
        options = {**({"fused": True} if fused else {}), **(config.options or {})}
        try:
            optimizer = OPTIMIZERS[config.name](self.parameter_groups(), lr=config.learning_rate, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"optimizer.options of {config.name}: {error}") from error
        schedule = LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        """The learning rate at a step, as a share of its peak: a linear warm-up, then the schedule."""
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            return 1.0
        return learning_rate_factor(self.optimizer_config.schedule, self.optimizer_config.warmup, step, int(steps))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Generate captions, and measure the likelihood of the references."""
        input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids)
        output = self.network(batch.photos, input_ids)
        loss = caption_loss(output.hidden, output.output, flatten_tokens(target_ids, mask))
        counts = batch_counts(batch)
        word_weight, _, _ = mean_weights(counts)
        # Weighted by words, so that it does not depend on the batches.
        self.log("val_loss", average(loss * word_weight), batch_size=int(total(counts)[0]))
        self._predict(batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Generate captions."""
        self._predict(batch)

    def _predict(self, batch: Batch) -> None:
        if not batch.is_counted:
            return
        captions = self.network.caption(batch.photos, self.generation).token_ids[:, 0].tolist()
        self.predictions |= {i: self.vocabulary.decode_words(token_ids) for i, token_ids in zip(batch.ids, captions, strict=True)}
        self.references |= dict(zip(batch.ids, batch.references, strict=True))

    def _score(self, stage: str) -> None:
        """Score the captions of all processes in the first, and log the scores in all."""
        captions: dict[int | str, list[str]] = {}
        references: dict[int | str, list[list[str]]] = {}
        for of_process in gather((self.predictions, self.references)):
            captions |= of_process[0]
            references |= of_process[1]
        scores = corpus_scores(captions, references) if self.trainer.is_global_zero else {}
        self.scores = {f"{stage}_{name}": value for name, value in from_first(scores).items()}
        self.log_dict(self.scores, prog_bar=True)
        self.predictions, self.references = {}, {}

    def on_validation_epoch_end(self) -> None:
        """BLEU-1..4, ROUGE-L and CIDEr-D of the predictions, as val_bleu1 … val_bleu4, val_rouge_l and val_cider_d."""
        self._score("val")

    def on_test_epoch_end(self) -> None:
        """BLEU-1..4, ROUGE-L and CIDEr-D of the predictions, as test_bleu1 … test_cider_d."""
        self._score("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the vocabulary, without which the weights mean nothing, and the validation scores."""
        checkpoint["words"] = self.vocabulary.tokens
        checkpoint["scores"] = self.scores

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume with another vocabulary than the checkpoint's.

        Raises:
            InputError: the data have another vocabulary.
        """
        if checkpoint["words"] != self.vocabulary.tokens:
            raise InputError("the checkpoint was trained on other words than these data have: give the same data and --data.min_count")
