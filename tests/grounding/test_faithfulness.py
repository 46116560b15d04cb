"""Deletion and insertion curves: identities that hold for any model, and one point computed directly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from showattend import Captioner
from showattend.data.boxes import ObjectWord
from showattend.data.captions import Photo
from showattend.grounding import SHARES, Mention, faithfulness_curves, summarize_curves
from showattend.grounding.faithfulness import RANDOM_ORDERS, curve_areas, hidden_masks, location_orders
from showattend.metrics import Estimate, mean_estimates
from showattend.models.inputs import Features, Pixels


@pytest.fixture
def captioner(model: Path) -> Captioner:
    return Captioner.from_pretrained(model, device="cpu")


@pytest.fixture
def mentions(captioner: Captioner, shapes: Path) -> list[Mention]:
    text = "a red circle above a blue square"
    paths = sorted((shapes / "images").glob("val*"))[:3]
    scored = [(path, captioner.score(path, [text])[0].caption) for path in paths]
    return [Mention(Photo(path.name, path, (text,)), caption, ObjectWord(place, "x", ())) for path, caption in scored for place in (2, 6)]


def test_nothing_hidden_gives_the_teacher_forced_probability_and_all_hidden_one_value(
    captioner: Captioner, mentions: list[Mention]
) -> None:
    for mention, curves in zip(mentions, faithfulness_curves(captioner, mentions), strict=True):
        (scored,) = captioner.score(mention.photo.path, [str(mention.caption)])
        probability = scored.log_probs[mention.word.position].exp().item()
        for deletion, insertion in zip(*curves, strict=True):
            assert deletion[0] == pytest.approx(probability, abs=1e-6)
            assert insertion[-1] == pytest.approx(probability, abs=1e-6)
            assert insertion[0] == pytest.approx(deletion[-1], abs=1e-6)
        assert curves.deletion[0, -1] == pytest.approx(curves.deletion[1, -1], abs=1e-6)


def test_one_point_of_each_curve_equals_its_direct_computation(captioner: Captioner, mentions: list[Mention]) -> None:
    mention, network = mentions[1], captioner.model.network
    curves = next(faithfulness_curves(captioner, [mention]))
    share = 3
    photo, _ = captioner.model.preprocessing.load(mention.photo.path)
    token_ids = captioner.model.vocabulary.encode(mention.caption.words)
    for curve, shown_first in ((curves.deletion, False), (curves.insertion, True)):
        with torch.inference_mode():
            encoder_features = network.encode_photos(Pixels(photo[None])).clone()
            ranked = sorted(range(encoder_features.shape[1]), key=lambda i: -float(mention.alpha[i]))
            count = round(float(SHARES[share]) * len(ranked))
            mean = encoder_features[0].mean(0)
            for location in ranked[count:] if shown_first else ranked[:count]:
                encoder_features[0, location] = mean
            step, state = network.make_step_function(Features(encoder_features))
            for token_id in token_ids[: mention.word.position + 1]:
                log_probs, state, _ = step(torch.tensor([token_id]), state)
        by_hand = log_probs[0, token_ids[mention.word.position + 1]].exp().item()
        assert curve[0, share] == pytest.approx(by_hand, abs=1e-6)


def test_curves_depend_on_the_seed_but_not_on_the_batch(captioner: Captioner, mentions: list[Mention]) -> None:
    one, other = (np.array(list(faithfulness_curves(captioner, mentions[:2], batch_size=size, seed=1))) for size in (3, 100))
    assert one.shape == (2, 2, 2, 11)
    assert one == pytest.approx(other, abs=1e-6)
    third = np.array(list(faithfulness_curves(captioner, mentions[:2], seed=2)))
    assert third[:, :, 0] == pytest.approx(one[:, :, 0], abs=1e-6), "the order of alpha does not depend on the seed"
    assert np.abs(third[:, :, 1] - one[:, :, 1]).max() > 1e-4


def test_the_first_order_is_by_alpha_and_equal_alphas_are_in_random_order() -> None:
    rng = torch.Generator().manual_seed(0)
    alpha = torch.tensor([0.1, 0.4, 0.0, 0.5], dtype=torch.float64)
    orders = location_orders(alpha, rng)
    assert orders.shape == (1 + RANDOM_ORDERS, 4)
    assert orders[0].tolist() == [3, 1, 0, 2]
    assert (orders.sort(1).values == torch.arange(4)).all()
    firsts = {int(location_orders(torch.full((4,), 0.25, dtype=torch.float64), rng)[0, 0]) for _ in range(50)}
    assert firsts == {0, 1, 2, 3}


def test_masks_hide_or_show_the_first_of_an_order() -> None:
    deletion, insertion = hidden_masks(torch.tensor([[3, 1, 0, 2, 4, 5, 6, 7, 8, 9]]))
    assert deletion.shape == (1, 11, 10)
    assert [row.nonzero().flatten().tolist() for row in deletion[0, :4]] == [[], [3], [1, 3], [0, 1, 3]]
    assert torch.equal(insertion, ~deletion)
    counts = hidden_masks(torch.randperm(49)[None])[0, 0].sum(1)
    assert counts.tolist() == [round(share * 49) for share in SHARES.tolist()]


def test_the_area_of_a_line_is_its_mean_height() -> None:
    assert curve_areas(np.stack((SHARES, 1 - SHARES, np.full(11, 0.3)))) == pytest.approx([0.5, 0.5, 0.3])


def test_a_summary_holds_means_and_paired_differences(captioner: Captioner, mentions: list[Mention]) -> None:
    curves = list(faithfulness_curves(captioner, mentions))
    summary = summarize_curves(curves, mentions)
    heights = np.array(curves)  # (M,2,2,S)
    for way, name in enumerate(("deletion", "insertion")):
        for order, whose in enumerate(("alpha", "random")):
            assert [point.value for point in summary.points[name][whose]] == pytest.approx(heights[:, way, order].mean(0))
            assert summary.areas[name][whose].value == pytest.approx(curve_areas(heights[:, way, order]).mean())
        under = summary.areas[name]
        assert under["difference"].value == pytest.approx(under["alpha"].value - under["random"].value)


def test_95_percent_intervals_of_means_cover_the_true_mean() -> None:
    """Rows of a photo share a part: an interval over rows as if independent would cover far less often."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        photos = np.repeat(np.arange(60), 4)
        values = rng.normal(size=60)[photos] + 0.3 * rng.normal(size=240)
        (estimate,) = mean_estimates(values[:, None], photos.tolist(), resamples=200)
        assert isinstance(estimate, Estimate)
        covered.append(estimate.interval.low <= 0 <= estimate.interval.high)
    assert 0.88 < np.mean(covered) < 0.99
