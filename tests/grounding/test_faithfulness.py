"""Hiding what alpha looked at: identities that hold for any model, and one point by hand."""

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
    said = "a red circle above a blue square"
    paths = sorted((shapes / "images").glob("val*"))[:3]
    scored = [(path, captioner.score(path, [said])[0].caption) for path in paths]
    return [Mention(Photo(path.name, path, (said,)), caption, ObjectWord(place, "x", ())) for path, caption in scored for place in (2, 6)]


def test_nothing_hidden_is_teacher_forcing_and_all_hidden_is_the_same_for_any_order(captioner: Captioner, mentions: list[Mention]) -> None:
    for mention, found in zip(mentions, faithfulness_curves(captioner, mentions), strict=True):
        (scored,) = captioner.score(mention.photo.path, [str(mention.caption)])
        whole = scored.log_probs[mention.word.position].exp().item()
        for deletion, insertion in zip(*found, strict=True):
            assert deletion[0] == pytest.approx(whole, abs=1e-6)
            assert insertion[-1] == pytest.approx(whole, abs=1e-6)
            assert insertion[0] == pytest.approx(deletion[-1], abs=1e-6)
        assert found.deletion[0, -1] == pytest.approx(found.deletion[1, -1], abs=1e-6)


def test_one_point_of_each_curve_by_hand(captioner: Captioner, mentions: list[Mention]) -> None:
    mention, network = mentions[1], captioner.model.network
    found = next(faithfulness_curves(captioner, [mention]))
    share = 3
    photo, _ = captioner.model.preprocessing.load(mention.photo.path)
    numbers = captioner.model.vocabulary.encode(mention.caption.words)
    for curve, shown_first in ((found.deletion, False), (found.insertion, True)):
        with torch.inference_mode():
            encoder_features = network.encode_photos(Pixels(photo[None])).clone()
            ranked = sorted(range(encoder_features.shape[1]), key=lambda i: -float(mention.alpha[i]))
            count = round(float(SHARES[share]) * len(ranked))
            mean = encoder_features[0].mean(0)
            for location in ranked[count:] if shown_first else ranked[:count]:
                encoder_features[0, location] = mean
            step, state = network.make_step_function(Features(encoder_features))
            for number in numbers[: mention.word.position + 1]:
                log_probs, state, _ = step(torch.tensor([number]), state)
        by_hand = log_probs[0, numbers[mention.word.position + 1]].exp().item()
        assert curve[0, share] == pytest.approx(by_hand, abs=1e-6)


def test_curves_depend_on_the_seed_but_not_on_the_batch(captioner: Captioner, mentions: list[Mention]) -> None:
    one, other = (np.array(list(faithfulness_curves(captioner, mentions, batch_size=size, seed=1))) for size in (5, 100))
    assert one.shape == (6, 2, 2, 11)
    assert one == pytest.approx(other, abs=1e-6)
    third = np.array(list(faithfulness_curves(captioner, mentions, seed=2)))
    assert third[:, :, 0] == pytest.approx(one[:, :, 0], abs=1e-6), "alpha's order is no matter of chance"
    assert np.abs(third[:, :, 1] - one[:, :, 1]).max() > 1e-4


def test_orders_begin_with_alpha_s_and_equal_ones_come_as_chance_has_it() -> None:
    chance = torch.Generator().manual_seed(0)
    alpha = torch.tensor([0.1, 0.4, 0.0, 0.5], dtype=torch.float64)
    found = location_orders(alpha, chance)
    assert found.shape == (1 + RANDOM_ORDERS, 4)
    assert found[0].tolist() == [3, 1, 0, 2]
    assert (found.sort(1).values == torch.arange(4)).all()
    firsts = {int(location_orders(torch.full((4,), 0.25, dtype=torch.float64), chance)[0, 0]) for _ in range(50)}
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
    found = list(faithfulness_curves(captioner, mentions))
    summary = summarize_curves(found, mentions)
    heights = np.array(found)  # (M,2,2,S)
    for way, name in enumerate(("deletion", "insertion")):
        for order, whose in enumerate(("alpha", "random")):
            assert [point.value for point in summary.points[name][whose]] == pytest.approx(heights[:, way, order].mean(0))
            assert summary.areas[name][whose].value == pytest.approx(curve_areas(heights[:, way, order]).mean())
        under = summary.areas[name]
        assert under["difference"].value == pytest.approx(under["alpha"].value - under["random"].value)


def test_intervals_of_means_cover_as_often_as_they_say() -> None:
    """Rows of a photo share a part: an interval over rows as if independent would cover far less often."""
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        photos = np.repeat(np.arange(60), 4)
        values = draw.normal(size=60)[photos] + 0.3 * draw.normal(size=240)
        (found,) = mean_estimates(values[:, None], photos.tolist(), resamples=200)
        assert isinstance(found, Estimate)
        covered.append(found.interval.low <= 0 <= found.interval.high)
    assert 0.88 < np.mean(covered) < 0.99
