"""What every training has: a network with its words, an optimiser with its schedule, and validation by captions found freely."""

import math
from collections.abc import Iterable
from typing import Any

import lightning
import torch
from torch.optim.lr_scheduler import LambdaLR

from showattend.data.batches import Batch
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.errors import InputError, unknown_name
from showattend.metrics import corpus_scores
from showattend.models.caption_model import CaptionModel
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.schedules import SCHEDULES
from showattend.vocabulary import Vocabulary

OPTIMIZERS: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}


def check_names(**choices: tuple[str, Iterable[str]]) -> None:
    """Refuse a name that is not among those known, before anything is built.

    Raises:
        InputError: there is one.
    """
    for kind, (name, known) in choices.items():
        if name not in known:
            raise unknown_name(kind, name, known)


class BaseLitModule(lightning.LightningModule):
    """A caption network in training.

    A subclass says what its step minimises; among its hyperparameters are `optimizer`, `optimizer_options`, `learning_rate`,
    `weight_decay`, `warmup` and `schedule`.
    """

    def __init__(self, network: CaptionModel, vocabulary: Vocabulary, preprocessing: Preprocessing, search: GenerationConfig) -> None:
        super().__init__()
        self.network = network
        self.vocabulary = vocabulary
        self.preprocessing = preprocessing
        self.search = search
        self.encoder_is_frozen = not any(p.requires_grad for p in network.encoder.parameters())
        self.scores: dict[str, float] = {}
        self.found: dict[int | str, list[str]] = {}
        self.references: dict[int | str, list[list[str]]] = {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What learns, and how: matrices and vectors of the decoder."""
        decoder = [p for p in self.network.decoder.parameters() if p.requires_grad]
        return [
            {"params": [p for p in decoder if p.dim() > 1], "weight_decay": self.hparams["weight_decay"]},
            {"params": [p for p in decoder if p.dim() <= 1], "weight_decay": 0.0},
        ]

    def configure_optimizers(self) -> Any:
        """The optimiser over the groups, and the schedule, in steps."""
        if math.isinf(self.trainer.estimated_stepping_batches) and self.hparams["schedule"] != "constant":
            raise InputError(f"the schedule '{self.hparams['schedule']}' needs an end: give --trainer.max_epochs or max_steps")
        # Lightning cannot clip gradients of a fused optimiser in mixed precision.
        fused = self.hparams["optimizer"] != "rmsprop" and "mixed" not in str(self.trainer.precision)
        options = {"fused": True} if fused else {}
        options |= self.hparams["optimizer_options"] or {}
        try:
            optimizer = OPTIMIZERS[self.hparams["optimizer"]](self.parameter_groups(), lr=self.hparams["learning_rate"], **options)
        except (TypeError, ValueError) as error:
            raise InputError(f"optimizer_options of {self.hparams['optimizer']}: {error}") from error
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, self._rate), "interval": "step"}}

    def _rate(self, step: int) -> float:
        """The learning rate at a step, as a share of its peak: a linear warm-up, then the schedule."""
        total = self.trainer.estimated_stepping_batches
        if math.isinf(total):
            return 1.0
        steps = int(total)
        warmup: int = max(1, round(self.hparams["warmup"] * steps))
        if step < warmup:
            return (step + 1) / warmup
        return SCHEDULES[self.hparams["schedule"]]((step - warmup) / max(1, steps - warmup))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Caption the photos freely, and measure the likelihood of their references."""
        heard, targets, mask = teacher_forcing_split(batch.token_ids)
        spoken = self.network(batch.photos, heard)
        self.log("val_loss", caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, mask)), batch_size=len(batch.ids))
        self._caption(batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Caption the photos freely."""
        self._caption(batch)

    def _caption(self, batch: Batch) -> None:
        words = self.network.caption(batch.photos, self.search).token_ids[:, 0].tolist()
        # Keyed by id: the padding that distributed samplers add cannot count twice.
        self.found |= {i: self.vocabulary.decode(numbers) for i, numbers in zip(batch.ids, words, strict=True)}
        self.references |= dict(zip(batch.ids, batch.references, strict=True))

    def _score(self, stage: str) -> None:
        self.scores = {f"{stage}_{name}": value for name, value in corpus_scores(self.found, self.references).items()}
        self.log_dict(self.scores, prog_bar=True)
        self.found, self.references = {}, {}

    def on_validation_epoch_end(self) -> None:
        """BLEU-1..4, ROUGE-L and CIDEr-D of the captions found, as val_bleu1 … val_bleu4, val_rouge_l and val_cider_d."""
        self._score("val")

    def on_test_epoch_end(self) -> None:
        """BLEU-1..4, ROUGE-L and CIDEr-D of the captions found, as test_bleu1 … test_cider_d."""
        self._score("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint without its words could not be read by anyone."""
        checkpoint["words"] = self.vocabulary.tokens
        checkpoint["scores"] = self.scores

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Going on with other words would train garbage.

        Raises:
            InputError: the checkpoint's words are not those of the data.
        """
        if checkpoint["words"] != self.vocabulary.tokens:
            raise InputError("the checkpoint was trained on other words than these data have: give the same data and --data.min_count")
