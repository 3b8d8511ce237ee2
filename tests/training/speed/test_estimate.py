"""`--dry-run` says what a cell needs before a user rents a GPU."""

import pytest
import torch
from torch import nn

from bnrepro.models import build_model
from bnrepro.norms import NORMS, NormLayers, find_factory
from bnrepro.training.speed.estimate import estimate


def test_flops_of_resnet50_are_the_known_ones():
    """4.1 billion multiplications and additions forward (torchvision's table), and twice that backward."""
    found = estimate(lambda: build_model("resnet50", norm="bn", num_classes=1000), (3, 224, 224), 2)
    assert found.parameters == 25_557_032
    assert found.flops_per_image / 6 == pytest.approx(4.09e9, rel=0.02)


def test_memory_grows_with_the_images_of_a_forward_pass_and_halves_in_bf16():
    found = estimate(lambda: build_model("resnet18", norm="bn", num_classes=10), (3, 64, 64), 4)
    optimizer = 12 * found.parameters
    eight, sixteen = (found.memory_bytes(images, "float32") - optimizer for images in (8, 16))
    assert sixteen == pytest.approx(2 * eight)
    assert found.memory_bytes(16, "bf16") - optimizer == pytest.approx(eight)


def test_what_is_kept_for_backward_is_counted_once():
    """conv keeps its input, relu its output, which is the next layer's input."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5)
        )

    found = estimate(make, (3, 4, 4), 1000)
    kept = 4 * (3 * 16 + 8 * 16 + 5) + 8  # input, relu's output, log-probabilities; label
    assert found.saved_bytes_per_image == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_norm_can_be_counted(norm):
    layers = NormLayers(find_factory(norm), {}, {"norm_batch_size": 2, "sgd_batch_size": 4})
    found = estimate(lambda: build_model("resnet8", norm=layers), (3, 32, 32), 4)
    assert found.flops_per_image > 0
    assert torch.get_default_device().type == "cpu"
