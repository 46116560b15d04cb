import pytest
import torch

from showattend.grounding import peak, points_at
from showattend.inference import Caption


def caption(alpha: torch.Tensor, visible: tuple[float, float, float, float] = (0, 0, 120, 80)) -> Caption:
    return Caption(["word"], 0.0, alpha.flatten().unsqueeze(0), (alpha.shape[0], alpha.shape[1]), visible, visible)


def test_the_peak_is_the_middle_of_the_heaviest_location_in_the_photo_s_pixels() -> None:
    alpha = torch.zeros(4, 6)
    alpha[1, 2] = 1.0
    assert peak(caption(alpha), 0) == (50, 30)
    assert peak(caption(alpha, (40, 10, 100, 50)), 0) == (65, 25)


@pytest.mark.parametrize(
    ("box", "inside"), [((45, 25, 55, 35), True), ((0, 0, 120, 80), True), ((51, 0, 120, 80), False), ((0, 31, 120, 80), False)]
)
def test_pointing(box: tuple[float, float, float, float], inside: bool) -> None:
    alpha = torch.full((4, 6), 0.01)
    alpha[1, 2] = 0.5
    assert points_at(caption(alpha), 0, box) is inside
