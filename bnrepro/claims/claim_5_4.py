"""Claim 5.4: batch norm decorrelates, and makes relative differences count instead of absolute ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch

from bnrepro.analysis.style import norm_styles
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import of_mean
from bnrepro.claims.trained import Transform, around_norms, errors, scaled_channels, trained
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part, holds, judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMS, BATCH = ("bn", "none", "ln"), 64
LEAST_CHANGE = 1e-4
LEAST_SD = 1e-2
CHANGED, COST = 0.1, 5.0  # points
WEIGHT_OCTAVES = 1.0
SCALES, SHIFTS = (0.25, 0.5, 2.0, 4.0), (-1.0, 1.0)
IMAGE_SEED = 0


def experiments(tables: Tables) -> Sequence[Experiment]:
    return [Experiment("trained", "claims/trained", NORMS, (BATCH,), seeds=5)]


def transforms() -> dict[str, Transform]:
    """The same change of all images, by name: contrast times a, brightness plus b."""
    found: dict[str, Transform] = {f"× {a:g}": lambda x, a=a: a * x for a in SCALES}  # type: ignore[misc]
    found |= {f"{b:+g}": lambda x, b=b: x + b for b in SHIFTS}  # type: ignore[misc]
    return found


def each_its_own(x: torch.Tensor) -> torch.Tensor:
    """Every image with a contrast from ½ to 2 and a brightness from −1 to 1 of its own."""
    generator = torch.Generator().manual_seed(IMAGE_SEED)
    a = 2 ** (2 * torch.rand(len(x), 1, 1, 1, generator=generator) - 1)
    b = 2 * torch.rand(len(x), 1, 1, 1, generator=generator) - 1
    return a * x + b


@cache
def changes(found: Found, norm: str) -> dict[str, dict[str, list[float]]]:
    """Transform -> statistics -> by how many points the error rises, for each seed."""
    rises: dict[str, dict[str, list[float]]] = {}
    for seed in found.seeds():
        session = trained(found, norm, BATCH, seed)
        before = errors(session, lambda x: x)
        for name, transform in (transforms() | {"each its own": each_its_own}).items():
            for statistics, error in errors(session, transform).items():
                rises.setdefault(name, {}).setdefault(statistics, []).append(error - before[statistics])
    return rises


@cache
def changes_by_weights(found: Found, norm: str) -> dict[str, list[float]]:
    """Statistics -> by how many points the error rises when every channel's incoming weights are scaled."""
    rises: dict[str, list[float]] = {}
    for seed in found.seeds():
        session = trained(found, norm, BATCH, seed)
        before = errors(session, lambda x: x)
        with scaled_channels(session, WEIGHT_OCTAVES):
            for statistics, error in errors(session, lambda x: x).items():
                rises.setdefault(statistics, []).append(error - before[statistics])
    return rises


def correlation_changes(found: Found) -> list[float]:
    """For each seed the largest change of a layer's mean or largest correlation by its norm."""
    changed = []
    for seed in found.seeds():
        look = found.probes("bn", BATCH, seed)[-1]["correlation"]
        pairs = [(look["before"][layer], look["after"][layer]) for layer in look["before"]]
        changed.append(
            max(abs(after[key] - before[key]) for before, after in pairs for key in ("mean", "largest"))
        )
    return changed


def changes_within_a_batch(found: Found) -> list[float]:
    """For each seed the largest change of a correlation between channels, over one normalization batch."""
    largest = []
    for seed in found.seeds():
        pairs = around_norms(trained(found, "bn", BATCH, seed)).values()
        differences = [
            (_correlations(after) - _correlations(before)).abs().nan_to_num() for before, after in pairs
        ]
        largest.append(max(difference.max().item() for difference in differences))
    return largest


def _correlations(x: torch.Tensor) -> torch.Tensor:
    """`(n, C)` to `(C, C)`; NaN for a channel that hardly varies, where ε is all there is."""
    return torch.corrcoef(x.T.where(x.std(0)[:, None] > LEAST_SD, torch.nan))


def judge(tables: Tables) -> Sequence[Part]:
    found = tables["trained"]
    correlations, within = correlation_changes(found), changes_within_a_batch(found)
    rises = changes(found, "bn")
    largest = max(abs(rise) for name in transforms() for rise in rises[name]["batch"])
    weights = changes_by_weights(found, "bn")
    recomputed = max(abs(rise) for statistics in ("batch", "precise") for rise in weights[statistics])
    contrast = of_mean(rises["× 0.25"]["running"])
    verdict = CONTRADICTED if contrast.low > COST else SUPPORTED if contrast.high < COST else UNDECIDED
    return [
        holds(
            "decorrelates channels: correlations change over several batches",
            f"contradicted if no correlation between channels changes by {LEAST_CHANGE:g}",
            max(correlations) >= LEAST_CHANGE,
            f"largest change {max(correlations):.1e}",
            changes=correlations,
        ),
        holds(
            "decorrelates channels: correlations change within one normalization batch",
            "as above; added later: the first line's 300 images are several batches, whose statistics differ",
            max(within) >= LEAST_CHANGE,
            f"largest change {max(within):.1e}",
            changes=within,
        ),
        holds(
            "relative, with the batch's own statistics",
            f"every change of all images together moves the error by < {CHANGED:g} points",
            largest < CHANGED,
            f"largest change {largest:.2f} points",
            changes={name: rises[name]["batch"] for name in rises},
        ),
        judged(
            "relative, with running statistics",
            f"contradicted if contrast × 0.25 costs more than {COST:g} points (lower limit)",
            *(verdict, contrast, "points"),
        ),
        holds(
            "relative, in the weights",
            f"a factor of its own for each unit's incoming weights moves the error under batch and precise "
            f"statistics by < {CHANGED:g} points",
            recomputed < CHANGED,
            f"largest change {recomputed:.2f} points; without a norm "
            f"{of_mean(changes_by_weights(found, 'none')['running']).text('points')}",
            changes=weights,
        ),
    ]


def draw(tables: Tables) -> Figure:
    found = tables["trained"]

    def rise(panel: Panel, statistics: str) -> None:
        names = list(changes(found, "bn"))
        for place, norm in enumerate(NORMS):
            by_name = changes(found, norm)
            own = statistics if statistics in by_name[names[0]] else "running"
            means = [of_mean(by_name[name][own]).mean for name in names]
            x = [i + 0.27 * (place - 1) for i in range(len(names))]
            panel.ax.bar(x, means, 0.27, color=norm_styles([norm])[norm].color, label=reader_name(norm))
        panel.ax.set_xticks(range(len(names)), labels=names, rotation=45)
        panel.labels("images changed", f"rise of the error (points), {statistics} statistics")

    return panels(
        [lambda panel: rise(panel, "batch"), lambda panel: rise(panel, "running")],
        "Contrast and brightness changed after training",
    )


CLAIM = register(
    id="5.4",
    title="Decorrelates; relative instead of absolute",
    text=(
        "Batch normalization decorrelates, and differences relative to the batch count instead of absolute "
        "ones (source, section 5.4). ReLU networks of 3 × 100 units on digits, whose test images are then "
        "changed: contrast and brightness of all of them, or of each on its own."
    ),
    published="Huang et al. 2018: batch norm leaves correlations between channels as they are.",
    rounds=(experiments,),
    judge=judge,
    draw=draw,
    notes=(
        "A scale and a shift per channel cannot change a correlation between channels. At test time the "
        "statistics are constants: a change of contrast, which hardly touches the network without a norm "
        "here, costs the one with batch norm much. The first two parts ask whether correlations change, and "
        "not whether they fall.",
    ),
)
