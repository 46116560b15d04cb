"""Planted alphas, whose measures are known, and boxes by counting pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from showattend.data.boxes import ObjectWord
from showattend.data.captions import Photo
from showattend.geometry import Box
from showattend.grounding import MEASURES, Mention, points_at, summarize
from showattend.grounding.geometry import cell_areas, center_alpha, centers_inside, clip_boxes, covered_areas, location_centers
from showattend.grounding.measures import attention_maps, best_threshold, iou, mass
from showattend.inference import Caption

CROP_BOX = (0.0, 0.0, 120.0, 80.0)


def caption(alpha: torch.Tensor, crop_box: Box = CROP_BOX, grid_box: Box | None = None) -> Caption:
    return Caption(["word"], 0.0, alpha.flatten().unsqueeze(0), (alpha.shape[0], alpha.shape[1]), crop_box, grid_box or crop_box)


def mention(caption: Caption, *boxes: Box, photo: str = "a.png", noun: str = "word") -> Mention:
    return Mention(Photo(photo, Path(photo), ()), caption, ObjectWord(0, noun, boxes))


def cells_to_pixels(grid: tuple[int, int], box: Box, crop_box: Box = CROP_BOX) -> Box:
    """A box in cells of a grid as a box in pixels of the photo."""
    left, upper, right, lower = crop_box
    x, y = (right - left) / grid[1], (lower - upper) / grid[0]
    return left + box[0] * x, upper + box[1] * y, left + box[2] * x, upper + box[3] * y


def alpha_on_box(grid: tuple[int, int], box: tuple[int, int, int, int]) -> torch.Tensor:
    """Alpha evenly on the cells of a box."""
    alpha = torch.zeros(grid)
    alpha[box[1] : box[3], box[0] : box[2]] = 1.0
    return alpha / alpha.sum()


def test_the_center_of_a_location_is_in_the_photo_s_pixels() -> None:
    alpha = torch.zeros(4, 6)
    assert location_centers(caption(alpha))[8].tolist() == [50, 30]
    assert location_centers(caption(alpha, (40, 10, 100, 50)))[8].tolist() == [65, 25]


@pytest.mark.parametrize(
    ("box", "result"), [((45, 25, 55, 35), 1.0), ((0, 0, 120, 80), 1.0), ((51, 0, 120, 80), 0.0), ((0, 31, 120, 80), 0.0)]
)
def test_pointing_is_1_if_the_peak_lies_in_a_box(box: Box, result: float) -> None:
    alpha = torch.full((4, 6), 0.01)
    alpha[1, 2] = 0.5
    assert points_at(caption(alpha), ObjectWord(0, "word", (box,))) == result
    assert points_at(caption(alpha), ObjectWord(0, "word", ((0, 0, 1, 1), box))) == result, "any of the boxes counts"
    assert points_at(caption(alpha), ObjectWord(0, "word", ())) == 0.0, "a word that names nothing is a miss"


@pytest.mark.parametrize("grid", [(7, 7), (8, 8), (4, 6), (14, 14)])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (2, 1, 4, 3), (0, 2, 4, 4)])
@pytest.mark.parametrize("crop_box", [CROP_BOX, (13.0, 5.0, 77.0, 69.0)])
def test_alpha_on_the_box_scores_1_and_alpha_off_the_box_0(grid: tuple[int, int], box: tuple[int, int, int, int], crop_box: Box) -> None:
    on = mention(caption(alpha_on_box(grid, box), crop_box), cells_to_pixels(grid, box, crop_box))
    off = mention(caption(torch.where(alpha_on_box(grid, box) > 0, 0.0, 1.0), crop_box), cells_to_pixels(grid, box, crop_box))
    for result, value in ((on, 1.0), (off, 0.0)):
        estimates = summarize([result, result]).estimates["model"]
        assert [estimates[name].value for name in MEASURES] == pytest.approx([value] * 3, abs=1e-12)


def test_a_uniform_alpha_scores_chance_level_which_is_the_share_of_the_box() -> None:
    box = (33.0, 11.0, 95.0, 52.0)
    summary = summarize([mention(caption(torch.full((4, 6), 1 / 24)), box)])
    assert summary.estimates["model"] == summary.estimates["chance"]
    share = 62 * 41 / (120 * 80)
    # Middles at x = 10, 30, … 110 and y = 10, 30, 50, 70: three of six lie between 33 and 95, two of four between 11 and 52.
    assert [summary.estimates["chance"][name].value for name in MEASURES] == pytest.approx([6 / 24, share, share])


def test_the_centre_baseline_is_on_the_nearest_location_or_shared_by_the_nearest() -> None:
    even, odd = center_alpha(caption(torch.zeros(4, 6))), center_alpha(caption(torch.zeros(3, 5)))
    assert even.nonzero()[0].tolist() == [8, 9, 14, 15]
    assert odd.nonzero()[0].tolist() == [7]
    assert len(center_alpha(caption(torch.zeros(6, 6), (13.3, 5.7, 77.9, 70.3))).nonzero()[0]) == 4, "equal but for rounding"
    # A grid that looks half a cell up and left, as that of a ResNet: the lower right of the four is nearest to the middle.
    shifted = center_alpha(caption(torch.zeros(4, 4), (0, 0, 80, 80), (-10, -10, 70, 70)))
    assert shifted.nonzero()[0].tolist() == [10]
    summary = summarize([mention(caption(torch.rand(4, 6)), cells_to_pixels((4, 6), (2, 1, 3, 3)))])
    assert summary.estimates["centre"]["pointing"].value == 0.5
    assert summary.estimates["centre"]["iou"].value == 0.5


@pytest.mark.parametrize("grid_box", [CROP_BOX, (-15.0, -7.0, 105.0, 73.0), (6.0, 4.0, 102.0, 88.0)])
def test_areas_of_cells_and_unions_of_boxes_equal_counted_pixels(grid_box: Box) -> None:
    """Every pixel belongs to the nearest location, and to the boxes if it lies in one of them."""
    result = caption(torch.zeros(4, 6), CROP_BOX, grid_box)
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(120) + 0.5, np.arange(80) + 0.5)
    nearest = np.argmin((x[..., None] - location_centers(result)[:, 0]) ** 2 + (y[..., None] - location_centers(result)[:, 1]) ** 2, -1)
    assert cell_areas(result) == pytest.approx(np.bincount(nearest.ravel(), minlength=24), abs=0)
    for _ in range(20):
        corners = np.sort(rng.integers(-20, 140, (int(rng.integers(1, 5)), 2, 2)), 1)
        boxes = [(float(left), float(upper), float(right), float(lower)) for (left, upper), (right, lower) in corners]
        covered = np.zeros(x.shape, bool)
        for left, upper, right, lower in boxes:
            covered |= (left < x) & (x < right) & (upper < y) & (y < lower)
        assert covered_areas(result, boxes) == pytest.approx(np.bincount(nearest[covered], minlength=24), abs=1e-9)
        expected = [any(a <= u <= c and b <= v <= d for a, b, c, d in boxes) for u, v in location_centers(result)]
        assert centers_inside(result, boxes).tolist() == expected


def test_mass_and_iou_of_known_values() -> None:
    alpha = torch.tensor([[0.6, 0.3], [0.1, 0.0]])
    result = attention_maps([mention(caption(alpha, (0, 0, 20, 20)), (5, 0, 15, 10))])
    assert mass(result) == pytest.approx([0.5 * 0.6 + 0.5 * 0.3])
    assert iou(result, 1.0) == pytest.approx([50 / 150])
    assert iou(result, 0.5) == pytest.approx([100 / 200])
    assert iou(result, 0.1) == pytest.approx([100 / 300])
    assert 0.15 < best_threshold(result) <= 0.5


def test_weights_are_spread_over_cells_of_unequal_size() -> None:
    """The grid looks half a cell up and left: its first cell has 10 x 10 pixels of the photo, its last one 30 x 30."""
    alpha = torch.zeros(4, 4)
    alpha[0, 0], alpha[3, 3] = 0.25, 0.75
    result = attention_maps([mention(caption(alpha, (0, 0, 80, 80), (-10, -10, 70, 70)), (0, 0, 5, 10), (50, 50, 80, 60))])
    assert mass(result) == pytest.approx([0.25 / 2 + 0.75 / 3])


def test_the_weight_on_adaptive_attention_s_sentinel_does_not_count() -> None:
    alpha = torch.rand(4, 6)
    box = (33.0, 11.0, 95.0, 52.0)
    whole, spent = (summarize([mention(caption(alpha * share), box)]).values for share in (1.0, 0.3))
    assert whole == pytest.approx(spent, rel=1e-6)


def test_one_threshold_for_all_mentions_has_the_largest_mean_iou() -> None:
    rng = torch.Generator().manual_seed(1)
    mentions = [
        mention(caption(torch.rand(4, 6, generator=rng) ** 4), (10.0 * i, 5.0 * i, 10.0 * i + 40, 5.0 * i + 30)) for i in range(1, 8)
    ]
    result = attention_maps(mentions)
    chosen = best_threshold(result)
    assert iou(result, chosen).mean() == pytest.approx(max(iou(result, t).mean() for t in np.geomspace(0.001, 1, 31)))
    assert iou(result, chosen).mean() < np.mean(
        [max(iou(attention_maps([one]), t)[0] for t in np.geomspace(0.001, 1, 31)) for one in mentions]
    )


def test_boxes_outside_the_crop_and_words_without_boxes_have_their_own_status() -> None:
    result = caption(torch.rand(4, 4), (20, 20, 60, 60))
    assert mention(result).status == "no box"
    assert mention(result, (0, 0, 20, 60)).status == "outside crop"
    assert mention(result, (0, 0, 20, 60), (50, 50, 90, 90)).status == "measured"
    assert clip_boxes([(0, 0, 20, 60), (50, 50, 90, 90)], result.crop_box) == [(50, 50, 60, 60)]


def test_words_of_one_photo_are_resampled_together() -> None:
    """Ten words in one photo and one in another: whichever photo is drawn, its words come with it."""
    hit, miss = alpha_on_box((4, 4), (0, 0, 1, 1)), alpha_on_box((4, 4), (3, 3, 4, 4))
    box = cells_to_pixels((4, 4), (0, 0, 1, 1))
    mentions = [mention(caption(hit), box, noun="cat")] * 10 + [mention(caption(miss), box, photo="b.png", noun="dog")]
    summary = summarize(mentions)
    result = summary.estimates["model"]["pointing"]
    assert result.value == pytest.approx(10 / 11)
    assert result.interval == (0.0, 1.0)
    assert [(noun, words, means["pointing"]) for noun, (words, means) in summary.nouns.items()] == [("cat", 10, 1.0), ("dog", 1, 0.0)]
