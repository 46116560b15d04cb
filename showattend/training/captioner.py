"""Training by teacher forcing: what a run is made of, from numbers and names, and what its step minimises."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from showattend.data.batches import Batch
from showattend.data.transforms import Preprocessing
from showattend.decoding import GenerationConfig
from showattend.encoders import EncoderConfig, make_encoder
from showattend.errors import InputError
from showattend.models.caption_model import CaptionModel
from showattend.models.config import DecoderConfig
from showattend.models.decoder import Decoder, DecoderOutput
from showattend.models.teacher_forcing import flatten_tokens, teacher_forcing_split
from showattend.ops.cuda_graphs import GraphedTraining
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.base import OPTIMIZERS, BaseLitModule, check_names
from showattend.training.losses import REDUCTIONS, doubly_stochastic_penalty
from showattend.training.reinforce import Reinforce, ReinforceConfig
from showattend.training.scheduled_sampling import sample_decoder_inputs
from showattend.training.schedules import SCHEDULES
from showattend.vocabulary import PAD, Vocabulary

PENALTY_TARGETS = {"1": 1.0, "T/L": None}
# Captured steps are for captions of so many words, or twice as many, and so on.
LENGTHS = 4


class LitCaptioner(BaseLitModule):
    """Encoder, decoder, losses and optimiser of one training run, from numbers and names only."""

    def __init__(
        self,
        tokens: list[str],
        encoder: str = "mobilenet_v2",
        weights: str = "default",
        layer: str | None = None,
        stride: int | None = None,
        image_size: int = 224,
        resize: str = "stretch",
        finetune: str | None = None,
        encoder_learning_rate: float = 1e-5,
        projection_dim: int | None = None,
        embedding_size: int = 512,
        hidden_size: int = 512,
        attention_size: int = 512,
        attention: str = "soft",
        attention_options: dict[str, Any] | None = None,
        reinforce: dict[str, Any] | None = None,
        cell: str = "lstm",
        cell_options: dict[str, Any] | None = None,
        layers: int = 1,
        init_layers: int = 1,
        gate: str = "scalar",
        deep_output: bool = True,
        dropout: float = 0.5,
        embedding_dropout: float | None = None,
        feature_dropout: float = 0.0,
        initialisation: str = "default",
        penalty: float = 1.0,
        penalty_target: str = "1",
        penalty_reduction: str = "word",
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
        fuse: bool = False,
        optimizer: str = "adamw",
        optimizer_options: dict[str, Any] | None = None,
        learning_rate: float = 4e-4,
        weight_decay: float = 0.01,
        warmup: float = 0.02,
        schedule: str = "cosine",
        beam: int = 3,
        max_length: int = 30,
        length_penalty: float = 0.0,
    ) -> None:
        """Build the network.

        Args:
            tokens: the vocabulary; taken from the data, not given by hand
            encoder: tiny, or a CNN of torchvision by name: vgg19, resnet101, mobilenet_v2, efficientnet_b0, convnext_tiny, …
            weights: default (torchvision's, downloaded once), a safetensors or state-dict file, or none
            layer: feature map of the encoder by its name, such as features.13; null: the last one
            stride: pixels per location of the grid; 16 gives 14x14 at 224 pixels; null: the encoder's own
            image_size: pixels of the square that the encoder sees
            resize: stretch (all of the photo, proportions lost) or crop (the middle, as the paper)
            finetune: null (frozen: features are cached), all, or the stage from which on the encoder learns, such as features.14
            encoder_learning_rate: of an encoder that learns
            projection_dim: learned projection of the annotations to this many channels; null: none, as the paper
            embedding_size: E, channels of a word
            hidden_size: H, units of the recurrent cell
            attention_size: A, units of the attention
            attention: soft (the paper's), hard, dot, multi_head, adaptive, mean (none), or a dotted path my_package.attention:Mine
            attention_options: the attention's own: {gain: 3} above 1 makes soft, hard and adaptive prefer some locations from the
                start; {heads: 4} for multi_head; {expected: 0.5, mode: argmax} for hard
            reinforce: how hard attention learns: {weight: 0.1, entropy: 0.002, baseline: moving_average or leave_one_out, samples: 1}
            cell: the recurrent cell: lstm, gru, peephole, … (showattend cells lists them), or a dotted path my_package.cells:MyCell
            cell_options: the cell's own, such as {initialisation: chrono} (showattend cells NAME lists them)
            layers: cells one above the other
            init_layers: layers that make h_0 and c_0 of the mean annotation
            gate: beta on the context: scalar (the paper), vector or none
            deep_output: words from embedding, state and context together (the paper), or from the state alone
            dropout: share of units dropped from embeddings, state and deep output, and between layers of cells
            embedding_dropout: share of units dropped from embeddings; null: as dropout
            feature_dropout: share of the annotations' channels dropped, the same ones at every location
            initialisation: of all that is not the cell: default, or xu2015 (the authors' code)
            penalty: weight of the doubly stochastic penalty
            penalty_target: attention that each location should receive over a caption: 1 (the paper) or T/L
            penalty_reduction: what its sum is divided by: word (as the likelihood is), caption, or location (captions times locations)
            label_smoothing: share of the probability given to all words alike
            scheduled_sampling: share of the words heard that are the model's own instead of people's at the end of training; it
                rises from 0 in a straight line (Bengio et al. 2015); needs trainer.max_epochs or max_steps
            fuse: compile the loops of additive attention: seconds at the start for faster steps; needs a C++ compiler. On a GPU
                products in TF32, and whole steps captured in CUDA graphs, one for each size of batch, in lengths by fours
            optimizer: adamw, adam or rmsprop
            optimizer_options: the optimiser's own, such as {momentum: 0.9, centered: true} for rmsprop
            learning_rate: at its peak, after the warm-up
            weight_decay: of matrices; vectors are left alone
            warmup: share of the training in which the learning rate rises
            schedule: cosine, linear or constant, after the warm-up
            beam: hypotheses per photo at validation, and the finished model's default
            max_length: words of a caption at most, <end> counted
            length_penalty: exponent of the length by which a log-probability is divided when captions are ranked
        """
        check_names(
            optimizer=(optimizer, OPTIMIZERS),
            schedule=(schedule, SCHEDULES),
            penalty_target=(penalty_target, PENALTY_TARGETS),
            penalty_reduction=(penalty_reduction, REDUCTIONS),
        )
        if not 0 <= scheduled_sampling <= 1:
            raise InputError(f"scheduled_sampling is {scheduled_sampling}: give a share from 0 to 1")
        preprocessing, search = Preprocessing(image_size, resize), GenerationConfig(beam, max_length, length_penalty)
        looking = make_encoder(EncoderConfig(encoder, weights, layer, stride, finetune, encoder_learning_rate))
        speaking = DecoderConfig(
            projection_dim=projection_dim,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            attention_size=attention_size,
            attention=attention,
            attention_options=attention_options,
            cell=cell,
            cell_options=cell_options,
            layers=layers,
            init_layers=init_layers,
            gate=gate,
            deep_output=deep_output,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            feature_dropout=feature_dropout,
            initialisation=initialisation,
        )
        decoder = Decoder(speaking, vocabulary_size=len(tokens), encoder_dim=looking.channels)
        super().__init__(CaptionModel(looking, decoder), Vocabulary(tokens), preprocessing, search)
        self.save_hyperparameters(ignore=["tokens"])
        if fuse:
            self.network.fuse()
        self.taught = GraphedTraining(self.network.decoder, self._teach) if fuse else None
        draws = self.network.decoder.attention.samples_locations
        if reinforce and not draws:
            raise InputError(f"reinforce teaches hard attention, not '{attention}': give --model.attention hard, or leave it out")
        self.reinforce = Reinforce(ReinforceConfig.of(reinforce or {})) if draws else None
        self.train()  # Lightning keeps the modes that it finds

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As always; and the encoder where it learns."""
        groups = super().parameter_groups()
        if not self.encoder_is_frozen:
            learning = [p for p in self.network.encoder.parameters() if p.requires_grad]
            rate = self.hparams["learning_rate" if self.network.encoder.trains_from_scratch else "encoder_learning_rate"]
            groups.append({"params": learning, "weight_decay": 0.0, "lr": rate})
        return groups

    def train(self, mode: bool = True) -> "LitCaptioner":
        """Switch to training, but keep the statistics that came with pretrained weights."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.network.encoder.eval()
        elif self.hparams["weights"] != "none":
            for module in self.network.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Negative log-likelihood, doubly stochastic penalty, and what teaches hard attention."""
        samples = self.reinforce.config.samples if self.reinforce else 1
        heard, targets, mask = teacher_forcing_split(batch.token_ids.repeat_interleave(samples, 1))
        heard = self._mix(batch, heard)
        if taught := self._captured(batch):
            room = (0, -heard.shape[-1] % LENGTHS)
            likelihood, penalty = taught(self.network.encode_photos(batch.photos), F.pad(heard, room), F.pad(targets, room))
            return likelihood, penalty, None
        spoken = self.network(batch.photos, heard)
        said = flatten_tokens(targets, mask)
        return *self._measure(spoken, said, mask), self.reinforce(spoken, said, mask) if self.reinforce else None

    def _captured(self, batch: Batch) -> GraphedTraining | None:
        """Not what draws, nor in mixed precision; and gradients that add up over batches must not lie where the next ones will."""
        if (
            not batch.token_ids.is_cuda
            or self.reinforce
            or not self.network.decoder.supports_fused_loop
            or self.trainer.accumulate_grad_batches > 1
        ):
            return None
        return self.taught

    def _teach(self, encoder_features: Tensor, heard: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Likelihood and penalty in such a way that nothing depends on what the captions are, see `Decoder.forward`."""
        spoken = self.network.decoder(encoder_features, heard, whole=True)
        return self._measure(spoken, flatten_tokens(targets, None), targets != PAD)

    def _measure(self, spoken: DecoderOutput, said: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        target = PENALTY_TARGETS[self.hparams["penalty_target"]]
        return (
            caption_loss(spoken.hidden, spoken.output, said, label_smoothing=self.hparams["label_smoothing"]),
            doubly_stochastic_penalty(spoken.alphas, mask, target=target, reduction=self.hparams["penalty_reduction"]),
        )

    def _mix(self, batch: Batch, heard: Tensor) -> Tensor:
        """Words heard, some of them the model's own as the training goes on."""
        share = self.hparams["scheduled_sampling"]
        if not share:
            return heard
        done = min(1.0, self.trainer.global_step / self.trainer.estimated_stepping_batches)
        return sample_decoder_inputs(self.network.decoder, self.network.encode_photos(batch.photos), heard, share * done)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of one batch: negative log-likelihood plus penalty (Xu et al. 2015, eq. 14), plus REINFORCE for hard attention."""
        likelihood, penalty, score = self._losses(batch)
        self.log("train_loss", likelihood, prog_bar=True, batch_size=len(batch.ids))
        self.log("train_penalty", penalty, batch_size=len(batch.ids))
        # A penalty of weight 0 would send zeros back through every step.
        loss = likelihood + self.hparams["penalty"] * penalty if self.hparams["penalty"] else likelihood
        return loss if score is None else loss + score
