"""Claim 4: at test time trained statistics are used, and nothing is updated."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch

from bnrepro.claims.claim import Tables, register
from bnrepro.claims.figures import Panel, panels
from bnrepro.claims.verdict import Part, holds
from bnrepro.models import build_model
from bnrepro.norms import NORMS, NormLayers, traits_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES, STEPS = 16, 3


@cache
def measured() -> dict[str, tuple[bool, float]]:
    """Norm -> was no tensor of the state changed; by how much an image's outputs depend on its batch.

    The second in units of the outputs' standard deviation, in float64.
    """
    return {
        name: _measure(name) for name, factory in sorted(NORMS.items()) if traits_of(factory).batch_statistics
    }


def _measure(name: str) -> tuple[bool, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = NormLayers(NORMS[name], {}, {"norm_batch_size": IMAGES, "sgd_batch_size": IMAGES})
        model = build_model("resnet8", norm=layers, in_channels=1).double()
        for _ in range(STEPS):  # statistics that are not those of the start
            model(torch.randn(IMAGES, 1, 8, 8, dtype=torch.float64))
        model.eval()
        x = torch.randn(IMAGES, 1, 8, 8, dtype=torch.float64)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with torch.no_grad():
            outputs = model(x)
            others = torch.cat(
                [model(torch.cat([image, 5 + torch.randn_like(x)]))[:1] for image in x.split(1)]
            )
        equal = all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        return equal, ((outputs - others).abs().max() / outputs.std()).item()


def judge(tables: Tables) -> Sequence[Part]:
    found = measured()
    changed = [name for name, (equal, _) in found.items() if not equal]
    largest = max(found.values(), key=lambda pair: pair[1])[1]
    return [
        holds(
            "updates nothing",
            "the whole state is equal bit for bit after an evaluation, for every norm with batch statistics",
            not changed,
            f"{len(found) - len(changed)} of {len(found)} norms",
            changed=changed,
        ),
        holds(
            "independent of the batch",
            "outputs of an image in any batch equal to 1e-9 of their standard deviation",
            largest < 1e-9,
            f"largest difference {largest:.1e}",
            **{name: difference for name, (_, difference) in found.items()},
        ),
    ]


def draw(tables: Tables) -> Figure:
    def bars(panel: Panel) -> None:
        panel.tiny_bars({norm: difference for norm, (_, difference) in measured().items()}, right=1)
        panel.labels(
            "largest change of an image's outputs with other\nimages beside it (standard deviations)", ""
        )

    return panels([bars], "Evaluation does not see the batch")


CLAIM = register(
    id="4",
    title="Testing uses trained statistics",
    text=(
        "At test time the statistics come from training, nothing is updated, and an image's result does not "
        "depend on its batch (source, section 4). Checked on ResNet-8 for every norm with batch statistics."
    ),
    published="Ioffe & Szegedy 2015, §3.1, Algorithm 2.",
    rounds=(),
    judge=judge,
    draw=draw,
)
