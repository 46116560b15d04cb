import pytest
import torch

from showattend.errors import InputError
from showattend.training.losses import doubly_stochastic_penalty


@pytest.mark.parametrize("target", [1.0, None])
def test_the_penalty_is_the_paper_s_sum_for_each_caption_and_ignores_padding(target: float | None) -> None:
    lengths, locations = (3, 5, 0), 4
    alphas = torch.rand(3, 6, locations).softmax(-1)
    mask = torch.arange(6) < torch.tensor(lengths).unsqueeze(1)
    expected = 0.0
    for caption, length in enumerate(lengths):
        tau = length / locations if target is None else target
        for i in range(locations):
            if length:
                expected += (tau - sum(alphas[caption, t, i].item() for t in range(length))) ** 2
    assert doubly_stochastic_penalty(alphas, mask, target=target).item() == pytest.approx(expected / sum(lengths), rel=1e-5)


def test_the_reductions_divide_the_same_sum() -> None:
    alphas, mask = torch.rand(3, 6, 4).softmax(-1), torch.arange(6) < torch.tensor([[3], [5], [0]])
    by = {name: doubly_stochastic_penalty(alphas, mask, reduction=name).item() for name in ("word", "caption", "location")}
    assert by["word"] * 8 == pytest.approx(by["caption"] * 2)
    assert by["caption"] == pytest.approx(by["location"] * 4)
    with pytest.raises(InputError, match="caption"):
        doubly_stochastic_penalty(alphas, mask, reduction="captions")


def test_attention_that_meets_its_target_everywhere_costs_nothing() -> None:
    alphas = torch.full((2, 8, 4), 0.25)
    mask = torch.ones(2, 8, dtype=torch.bool)
    assert doubly_stochastic_penalty(alphas, mask, target=None).item() == pytest.approx(0.0, abs=1e-10)
    assert doubly_stochastic_penalty(alphas, mask, target=2.0).item() == pytest.approx(0.0, abs=1e-10)
