"""The reference's augmentation, one image after the other, against ours of a whole batch at once."""

from itertools import permutations

import numpy as np
import pytest
import torch

from bnrepro.data.streaming.colour import Colour
from bnrepro.data.streaming.draws import FLIP, JITTER, stream_draws

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CPU = torch.device("cpu")
EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045], dtype=torch.float64)
EIGENVECTORS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], dtype=torch.float64
)


@pytest.fixture
def images():
    return torch.randint(0, 256, (12, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def uniform():
    return stream_draws(0, 0, 100, "train").uniform(np.arange(12))


def normalized(images):
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images - mean) / std


def gray(images):
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_jitter_is_three_blends_in_any_order(images, uniform, order):
    """fb.resnet.torch draws the order; without clamping it makes no difference."""
    factors = torch.from_numpy(1 + 0.4 * (2 * uniform[:, JITTER] - 1)).view(12, 3, 1, 1, 1)
    want = images.double() / 255
    for step in order:
        level = gray(want)
        other = (torch.zeros_like(level), level.mean((2, 3), keepdim=True), level)[step]
        factor = factors[:, step]
        want = factor * want + (1 - factor) * other
    got = Colour(MEAN, STD, 0.4, 0.0, CPU).augment(images, uniform, flip=False)
    assert (got - normalized(want)).abs().max() < 1e-5
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_lighting_moves_colours_along_the_principal_components(images):
    uniform = stream_draws(0, 0, 50_000, "train").uniform(np.arange(50_000))
    gray_images = torch.full((50_000, 3, 1, 1), 128, dtype=torch.uint8)
    colour = Colour(MEAN, STD, 0.0, 0.1, CPU)
    moved = colour.augment(gray_images, uniform, flip=False) - colour.normalize(gray_images)
    rgb = moved.view(-1, 3).double() * torch.tensor(STD, dtype=torch.float64)
    want = 0.01 * EIGENVECTORS @ torch.diag(EIGENVALUES**2) @ EIGENVECTORS.T
    assert rgb.mean(0).abs().max() < 5e-4
    assert torch.allclose(torch.cov(rgb.T), want, rtol=0.05, atol=1e-7)


def test_half_of_the_images_are_mirrored_by_their_own_draw(images, uniform):
    colour = Colour(MEAN, STD, 0.0, 0.0, CPU)
    got = colour.augment(images.clone(), uniform, flip=True)
    for image, draw, result in zip(images, uniform[:, FLIP], got, strict=True):
        want = image.flip(2) if draw < 0.5 else image
        assert torch.equal(result, colour.normalize(want[None])[0])


def test_an_image_is_the_same_in_every_batch(images, uniform):
    """Else the number of processes would change the training."""
    colour = Colour(MEAN, STD, 0.4, 0.1, CPU)
    whole = colour.augment(images.clone(), uniform, flip=True)
    parts = [
        colour.augment(images[i : i + 5].clone(), uniform[i : i + 5], flip=True) for i in range(0, 12, 5)
    ]
    assert torch.allclose(torch.cat(parts), whole, rtol=0, atol=1e-6)


def test_normalization(images):
    got = Colour(MEAN, STD, 0.4, 0.1, CPU).normalize(images)
    assert (got - normalized(images.double() / 255)).abs().max() < 1e-5
