"""Mean and standard deviation of the training images."""

import pytest
import torch

from bnrepro.data import resident


def test_equals_torch_over_all_pixels_across_chunks(monkeypatch):
    """Wrong moments would shift every input."""
    monkeypatch.setattr(resident, "COUNTED_AT_ONCE", 3)
    images = torch.randint(
        0, 256, (10, 4, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    mean, std = resident.channel_moments(images)
    pixels = images.view(-1, 3).double() / 255
    assert mean == pytest.approx(pixels.mean(0).tolist(), abs=1e-12)
    assert std == pytest.approx(pixels.std(0, correction=0).tolist(), abs=1e-12)


def test_constant_channel_does_not_divide_by_zero():
    mean, std = resident.channel_moments(torch.full((2, 3, 3, 1), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,))
    assert std == (1.0,)
