"""Training by teacher forcing: the Lightning module of `showattend fit`, and the loss of its step."""

import math
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.data.batches import Batch
from showattend.encoders import make_encoder
from showattend.errors import InputError
from showattend.models.caption_model import CaptionModel
from showattend.models.decoder import Decoder, DecoderOutput
from showattend.models.inputs import Features
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.cuda_graphs import GraphedTraining
from showattend.ops.fusing import TRAINING_ELEMENTS
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.allocator import keep_freed_memory
from showattend.training.base import BaseLitModule, batch_counts
from showattend.training.config import PENALTY_TARGETS, CaptionerConfig, ReinforceConfig
from showattend.training.datamodule import CaptionDataModule
from showattend.training.losses import doubly_stochastic_penalty
from showattend.training.processes import average, mean_weights
from showattend.training.reinforce import Reinforce
from showattend.training.scheduled_sampling import sample_decoder_inputs
from showattend.training.start import load_start, load_start_weights, start_encoder
from showattend.training.synced_batch_norm import set_is_counted
from showattend.training.weight_decay import ParameterGroup
from showattend.training.word_dropout import drop_words
from showattend.vocabulary import PAD, Vocabulary

# CUDA graphs are captured for caption lengths that are multiples of this.
LENGTH_MULTIPLE = 4


class LitCaptioner(BaseLitModule):
    """Encoder and decoder, trained on the likelihood of reference captions.

    Args:
        vocabulary: of the captions
        config: all options; None: the defaults
        trust: modules of the user's own that the files of the model to start from may import

    Raises:
        InputError: the encoder or its weights, or the model to start from, cannot be had, or there are options for hard attention
            without it.
    """

    def __init__(self, vocabulary: Vocabulary, config: CaptionerConfig | None = None, *, trust: Collection[str] = ()) -> None:
        config = config or CaptionerConfig()
        start = load_start(config.start, vocabulary, trust=trust) if config.start else None
        encoder = start_encoder(start, config.encoder) if start else make_encoder(config.encoder)
        decoder = Decoder(config.decoder, vocabulary_size=len(vocabulary), encoder_dim=encoder.channels)
        if start:
            load_start_weights(decoder, start)
        super().__init__(
            CaptionModel(encoder, decoder),
            vocabulary,
            preprocessing=config.preprocessing.for_encoder(encoder.image_size),
            generation=config.generation,
            optimizer=config.optimizer,
        )
        self.config = config
        # A plain dictionary, so that checkpoints load with weights_only.
        self.save_hyperparameters(asdict(config))
        torch.set_float32_matmul_precision(config.matmul_precision)
        self.is_fused = None if config.fuse == "auto" else config.fuse == "always"  # None: it is decided when training starts
        if self.is_fused:
            self.network.fuse()
        self.graphed_losses = GraphedTraining(decoder, self._static_losses) if self.is_fused else None
        is_hard = decoder.attention.samples_locations
        if config.reinforce != ReinforceConfig() and not is_hard:
            raise InputError(
                f"reinforce trains hard attention, not '{config.decoder.attention}': give --model.decoder.attention hard, or leave it out"
            )
        self.reinforce = Reinforce(config.reinforce) if is_hard else None
        self.train()  # Lightning keeps the modes that modules have

    def on_fit_start(self) -> None:
        """Compile the attention's loops where `fuse` is auto and the training pays for it; a resumed run does what it did before.

        Raises:
            InputError: scheduled sampling in a training without an end, or leave_one_out where each photo has one sample.
        """
        self._check_samples()
        if self.config.loss.scheduled_sampling and math.isinf(self.trainer.estimated_stepping_batches):
            raise InputError("loss.scheduled_sampling grows until the end of training: give --trainer.max_epochs or --trainer.max_steps")
        if self.device.type != "cpu":
            return
        if not self.encoder_is_frozen:
            keep_freed_memory()
        if self.config.fuse == "auto":
            if self.is_fused is None:
                self.is_fused = self._attention_elements() >= TRAINING_ELEMENTS
            if self.is_fused:
                with suppress(InputError):  # there is no compiler
                    self.network.fuse()
        # `fuse` chooses a precision of its own where there is a GPU, even for a training that does not use it.
        torch.set_float32_matmul_precision(self.config.matmul_precision)

    def _check_samples(self) -> None:
        """Refuse a baseline from other samples where there is one of each photo."""
        data = getattr(self.trainer, "datamodule", None)
        if not self.reinforce or not isinstance(data, CaptionDataModule):
            return
        one_caption = data.config.batching == "length" or data.config.captions_per_photo == 1
        if self.reinforce.config.baseline == "leave_one_out" and self.reinforce.config.samples == 1 and one_caption:
            raise InputError(
                "leave_one_out needs more than one sample: give --model.reinforce.samples 2, or several --data.captions_per_photo"
            )

    def _attention_elements(self) -> float:
        """Elements of the attention's maps that one process computes in all steps of the training, see `ops.fusing`."""
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, CaptionDataModule):
            return 0.0
        batches = self.trainer.estimated_stepping_batches * self.trainer.accumulate_grad_batches
        tokens = batches * data.tokens_per_batch() / self.trainer.world_size
        return tokens * self.network.elements_per_token(self.preprocessing.image_size)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add whether the attention's loops are compiled."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["is_fused"] = self.is_fused

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on as the run did."""
        super().on_load_checkpoint(checkpoint)
        if self.config.fuse == "auto":
            self.is_fused = checkpoint.get("is_fused", self.is_fused)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The decoder's groups, and the encoder's where it is trained."""
        groups = super().parameter_groups()
        if not self.encoder_is_frozen:
            trained = [p for p in self.network.encoder.parameters() if p.requires_grad]
            from_scratch = self.network.encoder.trains_from_scratch
            rate = self.config.optimizer.learning_rate if from_scratch else self.config.encoder.learning_rate
            groups.append({"params": trained, "weight_decay": 0.0, "lr": rate})
        return groups

    def train(self, mode: bool = True) -> "LitCaptioner":
        """Switch to training mode, but keep the batch statistics that came with pretrained weights."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.network.encoder.eval()
        elif self.config.encoder.weights != "none":
            for module in self.network.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Negative log-likelihood plus penalty (Xu et al. 2015, eq. 14), plus REINFORCE for hard attention."""
        set_is_counted(self.network.encoder, batch.is_counted)
        likelihood, penalty, reinforce = self._losses(batch)
        self.log("train_loss", average(likelihood.detach()), prog_bar=True, batch_size=len(batch.ids))
        self.log("train_penalty", average(penalty.detach()), batch_size=len(batch.ids))
        # A penalty of weight 0 would propagate zeros back through every time step.
        weight = self.config.loss.penalty
        loss = likelihood + weight * penalty if weight else likelihood
        return loss if reinforce is None else loss + reinforce

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Negative log-likelihood, doubly stochastic penalty, and the REINFORCE loss of hard attention; scalars.

        Means over the batch; of several processes each has a share, and their average is the mean over the whole batch.
        """
        word_weight, caption_weight, _ = mean_weights(batch_counts(batch))
        samples = self.reinforce.config.samples if self.reinforce else 1
        input_ids, target_ids, mask = teacher_forcing_split(batch.token_ids.repeat_interleave(samples, 1))
        features = self.network.encode_photos(batch.photos)  # once: batch statistics of a trained encoder count every pass
        input_ids = drop_words(self._scheduled_inputs(features, input_ids), self.config.loss.word_dropout)
        reinforce = None
        if graphed := self._graph_if_usable(batch):
            padding = (0, -input_ids.shape[-1] % LENGTH_MULTIPLE)
            with self._uncached_autocast():
                likelihood, penalty = graphed(features, F.pad(input_ids, padding), F.pad(target_ids, padding))
        else:
            output = self.network(Features(features), input_ids)
            targets = flatten_tokens(target_ids, mask)
            likelihood, penalty = self._likelihood_and_penalty(output, targets, mask)
            if self.reinforce:
                reinforce = word_weight * self.reinforce(output, targets, mask, caption_weight)
        penalty_weight = word_weight if self.config.loss.penalty_reduction == "word" else caption_weight
        return word_weight * likelihood, penalty_weight * penalty, reinforce

    def _graph_if_usable(self, batch: Batch) -> GraphedTraining | None:
        """No CUDA graph with sampling, gradient accumulation (graphs reuse gradient buffers) or several processes."""
        if (
            not batch.token_ids.is_cuda
            or self.reinforce
            or not self.network.decoder.supports_fused_loop
            or self.trainer.accumulate_grad_batches > 1
            or self.trainer.world_size > 1
        ):
            return None
        return self.graphed_losses

    def _uncached_autocast(self) -> torch.autocast:
        """Mixed precision as it is now, without the cache of rounded weights: a captured graph would go on reading it."""
        kind = self.device.type
        return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False)

    def _static_losses(self, encoder_features: Tensor, input_ids: Tensor, target_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Likelihood and penalty with shapes that do not depend on the captions' lengths, as a CUDA graph needs."""
        output = self.network.decoder(encoder_features, input_ids, static_shapes=True)
        return self._likelihood_and_penalty(output, flatten_tokens(target_ids, None), target_ids != PAD)

    def _likelihood_and_penalty(self, output: DecoderOutput, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        loss = self.config.loss
        return (
            caption_loss(output.hidden, output.output, targets, label_smoothing=loss.label_smoothing),
            doubly_stochastic_penalty(output.alphas, mask, target=PENALTY_TARGETS[loss.penalty_target], reduction=loss.penalty_reduction),
        )

    def _scheduled_inputs(self, features: Tensor, input_ids: Tensor) -> Tensor:
        """The input ids, a growing share of them replaced by the model's own samples (scheduled sampling)."""
        share = self.config.loss.scheduled_sampling
        if not share:
            return input_ids
        done = min(1.0, self.trainer.global_step / self.trainer.estimated_stepping_batches)
        return sample_decoder_inputs(self.network.decoder, features, input_ids, share * done)
