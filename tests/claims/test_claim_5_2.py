"""Batch norm would be said to regularize, or to do so by its noise, where the numbers say something else."""

from types import SimpleNamespace

import pytest

from bnrepro.claims import CLAIMS
from bnrepro.claims.claim_5_2 import by_noise, regularizes
from bnrepro.claims.experiment import SEARCH_SEEDS
from bnrepro.claims.few_images import RATES, error_at_loss
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, together

JUDGING = range(100, 110)
WOBBLE = (0.1, -0.1, 0.05, -0.05, 0.0) * 2


def errors(mean: float, wide: float = 1.0) -> dict[int, float]:
    return {seed: mean + wide * own for seed, own in zip(JUDGING, WOBBLE, strict=True)}


NONE = {0.03: dict.fromkeys(JUDGING, 6.0), 0.1: dict.fromkeys(JUDGING, 7.0)}


@pytest.mark.parametrize(
    ("bn", "verdict"),
    [
        ({0.03: errors(5.0), 0.1: errors(6.0)}, SUPPORTED),
        ({0.03: errors(5.0), 0.1: errors(7.0)}, UNDECIDED),
        ({0.03: errors(5.0), 0.1: errors(8.0)}, CONTRADICTED),
        ({0.03: errors(5.0), 0.1: {}}, UNDECIDED),
        ({}, UNDECIDED),
    ],
)
def test_it_regularizes_if_it_does_at_every_rate(bn, verdict):
    part = regularizes(bn, NONE)
    assert part.verdict == verdict
    assert set(part.numbers) == {f"{rate:g}" for rate in bn}


@pytest.mark.parametrize(
    ("without", "verdict"),
    [
        ({0.03: errors(5.9, 0), 0.1: errors(6.8, 0)}, SUPPORTED),  # noise: -.9 and -.8 of -1
        ({0.03: errors(5.1, 0), 0.1: errors(6.8, 0)}, CONTRADICTED),  # -.1 of -1 at a rate
        ({0.03: errors(4.9, 0), 0.1: errors(6.8, 0)}, CONTRADICTED),  # noise costs
        ({0.03: errors(5.48, 0), 0.1: errors(6.8, 0)}, UNDECIDED),  # -.48 of -1: may be half
        ({0.03: {}, 0.1: {}}, UNDECIDED),
    ],
)
def test_it_does_so_by_noise_if_the_noise_makes_half_of_it(without, verdict):
    assert by_noise({0.03: errors(5.0), 0.1: errors(6.0)}, without, NONE).verdict == verdict


def lines(*losses: float | None) -> list[dict]:
    return [
        {
            "step": 2 * i,
            "errors": {"train": {"loss": loss, "error": 0.0}, "test": {"loss": 1.0, "error": 9.0 - i}},
        }
        for i, loss in enumerate(losses)
    ]


def test_the_error_counts_where_the_loss_is_first_reached():
    assert error_at_loss(lines(2.0, 0.5, 0.01, 0.1, 0.001)) == 7.0
    assert error_at_loss(lines(2.0, 0.5)) is None
    assert error_at_loss(lines(2.0, None, None)) is None, "a run that diverged"


def found(reach: dict, final: dict) -> SimpleNamespace:
    """`reach`: norm and rate -> error at the loss, or None; `final`: norm -> last error."""

    def of(norm, rate, seed):
        error = reach.get((norm, rate))
        if error is None:
            return lines(2.0, 0.5)
        reached = lines(2.0, 0.005)
        reached[1]["errors"]["test"]["error"] = error + 0.01 * (seed % 3)
        return reached

    return SimpleNamespace(
        probes=of,
        seeds=lambda search=False: list(SEARCH_SEEDS if search else JUDGING),
        errors=lambda norm, rate: errors(final[norm]),
        best_value=lambda norm: 0.1 if norm == "bn" else 0.03,
    )


def test_only_rates_that_the_search_reached_are_judged():
    """Others would compare networks that have fitted nothing."""
    both = {("none", rate): 6.0 for rate in RATES[:3]} | {("bn", rate): 5.0 for rate in RATES}
    tables = {
        "few_images": found(both, {"bn": 4.0, "none": 5.0}),
        "few_images_without_noise": found({("bn", 0.03): 5.1, ("bn", 0.1): 5.05}, {}),
    }
    parts = CLAIMS.find("5.2").judge(tables)
    assert [list(part.numbers) for part in parts[:1]] == [["0.01", "0.03", "0.1"]]
    assert list(parts[1].numbers["noise"]) == ["0.03", "0.1"]
    assert [part.verdict for part in parts] == [SUPPORTED, CONTRADICTED, SUPPORTED]
    assert together(parts) == "mixed"
    assert "bn 0.1, none 0.03" in parts[2].name
