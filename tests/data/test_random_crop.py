"""Random crops against a photo whose values say where each pixel lies."""

import torch

from showattend.data.random_crop import random_crop


def test_a_crop_is_a_part_of_the_photo_with_an_area_and_an_aspect_as_asked() -> None:
    size = 96
    ramp = torch.linspace(0, 255, size)
    photo = torch.stack([ramp.expand(size, size), ramp[:, None].expand(size, size), torch.full((size, size), 7.0)]).to(torch.uint8)
    rng = torch.Generator().manual_seed(0)
    areas, aspects, centres = [], [], []
    for _ in range(300):
        crop = random_crop(photo, 0.5, rng)
        assert crop.shape == photo.shape
        assert crop.dtype == torch.uint8
        assert (crop[2] == 7).all()
        # Along a side the values rise by as much as the crop shows of the photo.
        inner = crop[:, 2:-2, 2:-2].float()
        width, height = (inner[0, 0, -1] - inner[0, 0, 0]).item() / 244, (inner[1, -1, 0] - inner[1, 0, 0]).item() / 244
        areas.append(width * height)
        aspects.append(width / height)
        centres.append(inner[0].mean().item() / 255)
    assert 0.46 < min(areas) < 0.55
    assert 0.93 < max(areas) < 1.04
    assert 0.72 < min(aspects) < 0.85
    assert 1.18 < max(aspects) < 1.40
    assert min(centres) < 0.43
    assert max(centres) > 0.57


def test_the_generator_decides_and_all_of_a_photo_is_a_crop_too() -> None:
    photo = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    one, other = (random_crop(photo, 0.3, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(random_crop(photo, 1.0, torch.Generator()), photo)
