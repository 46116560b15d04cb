"""The contract of an attention: every registered one is tested here, and one that a user could write."""

import copy
from typing import Any

import pytest
import torch
from factories import make_decoder, random_captions, random_features
from torch import Tensor

from showattend.attention import Attention, AttentionCache, AttentionOutput, AttentionSizes, DecoderContext, attention_names, make_attention
from showattend.attention.additive import SoftAttention
from showattend.errors import InputError
from showattend.models.decoder import Decoder
from showattend.vocabulary import PAD

N, G, L, D, H, E, A = 3, 4, 6, 8, 10, 7, 12
SIZES = AttentionSizes(projection_dim=D, hidden_size=H, embedding_size=E, attention_size=A)
# Options that the sizes of this test, or a test of gradients, need.
OPTIONS: dict[str, dict[str, Any]] = {"multi_head": {"heads": 2}, "hard": {"expected": 1.0}}


def make(name: str) -> Attention:
    return make_attention(name, SIZES, OPTIONS.get(name)).double().eval()


def random_query(rows: int = G) -> DecoderContext:
    return DecoderContext(*(torch.randn(N, rows, size).double() for size in (H, H, E)))


def random_grid() -> Tensor:
    return torch.randn(N, L, D).double()


def decoder_with(name: str, cell: str = "lstm", layers: int = 1) -> Decoder:
    sizes = {"projection_dim": 6, "attention_size": 8, "layers": layers, "dropout": 0.0}
    return make_decoder(attention=name, attention_options=OPTIONS.get(name), cell=cell, **sizes)


@pytest.mark.parametrize("name", [*attention_names(), "factories:FirstLocation"])
class TestAttentionContract:
    """What the decoder, training and search rely on."""

    def test_shapes_are_those_of_the_contract_and_the_cache_has_images_first(self, name: str) -> None:
        attention = make(name)
        cache = attention.precompute(random_grid())
        assert all(len(entry) == N for entry in cache)
        context, alpha, sampled_log_prob, _ = attention(cache, random_query())
        assert context.shape == (N, G, D)
        assert alpha.shape == (N, G, L)
        assert sampled_log_prob is None or sampled_log_prob.shape == (N, G)

    def test_weights_are_not_negative_and_a_row_sums_to_one_or_to_less_with_a_sentinel(self, name: str) -> None:
        attention = make(name)
        alpha = attention(attention.precompute(random_grid()), random_query()).alpha
        assert (alpha >= 0).all()
        if name == "adaptive":
            assert (alpha.sum(-1) < 1).all()
        else:
            assert torch.allclose(alpha.sum(-1), torch.ones(N, G).double())

    def test_a_row_does_not_depend_on_other_rows_or_images(self, name: str) -> None:
        attention, features, query = make(name), random_grid(), random_query()
        together = attention(attention.precompute(features), query)
        for n in range(N):
            for g in range(G):
                alone = attention(
                    attention.precompute(features[n : n + 1]), DecoderContext(*(part[n : n + 1, g : g + 1] for part in query))
                )
                assert torch.allclose(together.context[n, g], alone.context[0, 0])
                assert torch.allclose(together.alpha[n, g], alone.alpha[0, 0])

    def test_rows_grouped_by_image_are_rows_with_their_own_copy_of_the_image(self, name: str) -> None:
        attention, features, query = make(name), random_grid(), random_query()
        grouped = attention(attention.precompute(features), query)
        copies = features.repeat_interleave(G, 0)
        repeated = attention(attention.precompute(copies), DecoderContext(*(part.flatten(0, 1).unsqueeze(1) for part in query)))
        assert torch.allclose(grouped.context.flatten(0, 1), repeated.context.squeeze(1))
        assert torch.allclose(grouped.alpha.flatten(0, 1), repeated.alpha.squeeze(1))

    def test_gradients_reach_the_features_and_every_parameter(self, name: str) -> None:
        attention, features = make(name).train(), random_grid().requires_grad_()
        output = attention(attention.precompute(features), random_query())
        # One location of alpha: the sum over all of them is constant.
        (output.context.square().sum() + output.alpha[..., 0].square().sum()).backward()
        for tensor in (features, *attention.parameters()):
            assert tensor.grad is not None
        assert features.grad is not None
        assert features.grad.abs().sum() > 0
        if name != "multi_head":  # its key bias adds the same to all energies of a head: the gradient is zero
            assert all(p.grad.abs().sum() > 0 for p in attention.parameters() if p.grad is not None)

    def test_loaded_weights_give_the_saved_attention(self, name: str) -> None:
        attention, features, query = make(name), random_grid(), random_query()
        loaded = make(name)
        loaded.load_state_dict(attention.state_dict())
        for one, other in zip(*(each(each.precompute(features), query)[:2] for each in (attention, loaded)), strict=True):
            assert torch.equal(one, other)

    @pytest.mark.parametrize("cell", ["lstm", "gru", "depth_gated"])
    def test_teacher_forcing_equals_stepping_token_by_token(self, name: str, cell: str) -> None:
        decoder, features, input_ids = decoder_with(name, cell, 2 if cell == "depth_gated" else 1), random_features(), random_captions()
        output, mask = decoder(features, input_ids), input_ids != PAD
        cache, state = decoder.init_state(features)
        state = tuple(entry.repeat_interleave(input_ids.shape[1], 0) for entry in state)
        for t in range(input_ids.shape[2]):
            logits, state, alpha = decoder.step(input_ids[:, :, t].flatten(), state, cache)
            alpha = alpha.unflatten(0, input_ids.shape[:2]) * mask[:, :, t].unsqueeze(-1)
            assert torch.allclose(output.alphas[:, :, t], alpha)
            begin, count = int(mask[:, :, :t].sum()), int(mask[:, :, t].sum())
            assert torch.allclose(output.logits[begin : begin + count], logits[mask[:, :, t].flatten()])

    def test_a_decoder_with_it_gives_the_same_loss_and_gradients_with_and_without_the_fused_loop(self, name: str) -> None:
        decoder, features, input_ids = decoder_with(name).train(), random_features(), random_captions()
        results = []
        for use_fused_loop in (True, False):
            twin = copy.deepcopy(decoder)
            twin.use_fused_loop = use_fused_loop
            output = twin(features, input_ids)
            loss = output.logits.square().mean() + output.alphas[..., 0].square().sum()
            parameters = list(twin.parameters())
            grads = torch.autograd.grad(loss, parameters, allow_unused=True)
            results.append([loss, *(torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True))])
        for fused, plain in zip(*results, strict=True):
            assert torch.allclose(fused, plain, atol=1e-10)

    def test_fused_parts_exist_exactly_where_the_fused_loop_is_supported(self, name: str) -> None:
        attention = make(name)
        if attention.supports_fused_loop:
            parts = attention.fused_parts()
            assert (parts.query_weight.shape, parts.key_weight.shape, parts.energy_weight.shape) == ((A, H), (A, D), (A,))
        else:
            with pytest.raises(NotImplementedError, match=type(attention).__name__):
                attention.fused_parts()

    def test_an_unknown_option_is_refused_with_its_name(self, name: str) -> None:
        with pytest.raises(InputError, match="no_such_option"):
            make_attention(name, SIZES, {"no_such_option": 1})

    def test_an_inference_mode_is_refused_where_there_is_none(self, name: str) -> None:
        with pytest.raises(InputError, match="argmax" if name == "hard" else "for hard attention"):
            make(name).set_inference_mode("no_such_mode")

    def test_only_an_attention_that_samples_returns_log_probabilities_in_training(self, name: str) -> None:
        attention = make(name).train()
        sampled_log_prob = attention(attention.precompute(random_grid()), random_query()).sampled_log_prob
        assert (sampled_log_prob is not None) == attention.samples_locations


def test_a_subclass_of_soft_attention_with_another_forward_does_not_use_the_fused_loop() -> None:
    class Sharpened(SoftAttention):
        def forward(self, cache: AttentionCache, query: DecoderContext) -> AttentionOutput:
            return super().forward(cache, DecoderContext(2 * query.h, query.c, query.embedding))

    assert SoftAttention(SIZES).supports_fused_loop
    assert not Sharpened(SIZES).supports_fused_loop
