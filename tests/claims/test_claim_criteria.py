"""A verdict would be given for numbers that do not support it."""

import csv
import math
from pathlib import Path

import pytest
from made_up import JUDGING, MadeUp

from bnrepro.claims import claim_5_1, claim_5_3, claim_5_4, claim_6_1
from bnrepro.claims.experiment import CIFAR10, SEARCH_SEEDS
from bnrepro.claims.rates import RATES, closer_look, experiments, smoothed_errors, steps_to
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part

(RATES_EXPERIMENT,) = experiments({})


def verdicts(parts: list[Part]) -> list[str]:
    return [part.verdict for part in parts]


def reaching(**steps: int):
    """Curves that are at 3 % from the step on, at rate 0.25 and below; above, only batch norm learns."""

    def curve(norm: str, rate: float) -> list[float]:
        return [90.0 if 10 * i < steps[norm] or rate > 0.25 else 3.0 for i in range(1, 41)]

    return curve


def rates(curve, learns=lambda norm, rate: rate <= 0.25, wobble: float = 1.0) -> MadeUp:
    return MadeUp(
        RATES_EXPERIMENT,
        error=lambda norm, rate: 5.0 if learns(norm, rate) else 90.0,
        curve=curve,
        wobble=wobble,
    )


@pytest.mark.parametrize(
    ("none", "expected"),
    [(200, [SUPPORTED, SUPPORTED]), (120, [SUPPORTED, CONTRADICTED]), (50, [CONTRADICTED, CONTRADICTED])],
)
def test_faster_and_much_faster_are_judged_apart(none, expected):
    parts = claim_5_1.judge({"rates": rates(reaching(bn=50, none=none, ln=60))})
    assert verdicts(parts[:2]) == expected


def test_steps_that_differ_from_seed_to_seed_decide_nothing():
    found = rates(reaching(bn=50, none=120, ln=60))
    slow = {100: 40, 101: 200, 102: 60, 103: 300, 104: 90}

    class Uneven(MadeUp):
        def metrics(self, norm, x, seed):
            curve = reaching(bn=50, none=slow.get(seed, 120), ln=60)
            return [{"step": 10 * i, "error": {"running": e}} for i, e in enumerate(curve(norm, x), 1)]

    uneven = Uneven(found.experiment, found.error)
    assert verdicts(claim_5_1.judge({"rates": uneven})[:2]) == [UNDECIDED, UNDECIDED]


@pytest.mark.parametrize(("bn_learns_to", "verdict"), [(2.0, SUPPORTED), (0.25, CONTRADICTED)])
def test_a_rate_at_which_only_batch_norm_learns_is_said(bn_learns_to, verdict):
    def learns(norm: str, rate: float) -> bool:
        return rate <= (bn_learns_to if norm == "bn" else 0.25)

    part = claim_5_1.judge({"rates": rates(reaching(bn=50, none=120, ln=60), learns)})[2]
    assert part.verdict == verdict
    assert part.numbers["rates"] == [rate for rate in RATES if 0.25 < rate <= bn_learns_to]


@pytest.mark.parametrize(
    ("late", "others", "expected"),
    [("none", 200, SUPPORTED), ("none", 50, UNDECIDED), ("bn", 200, UNDECIDED), ("bn", 50, CONTRADICTED)],
)
def test_a_seed_that_never_gets_there_cannot_decide_for_its_own_side(late, others, expected):
    """The logarithm of an infinite ratio ended the judging of every claim of the call."""

    class Late(MadeUp):
        def metrics(self, norm, x, seed):
            never = norm == late and seed == 100
            steps = 10**6 if never else {"bn": 100, "none": others, "ln": 60}[norm]
            curve = [90.0 if 10 * i < steps or x > 0.25 else 3.0 for i in range(1, 41)]
            return [{"step": 10 * i, "error": {"running": error}} for i, error in enumerate(curve, 1)]

    part = claim_5_1.judge({"rates": Late(RATES_EXPERIMENT)})[0]
    assert part.verdict == expected
    assert part.found.endswith(f"never there: {late} in 1 seeds, which count with their last step")


def test_runs_that_failed_show_no_rate_at_which_only_batch_norm_learns():
    class Failed(MadeUp):
        def errors(self, norm, x, statistics="running", *, search=False):
            return {} if x == 16.0 else super().errors(norm, x, statistics, search=search)

    found = Failed(RATES_EXPERIMENT, error=lambda norm, rate: 90.0, curve=reaching(bn=50, none=120, ln=60))
    part = claim_5_1.judge({"rates": found})[2]
    assert (part.verdict, part.numbers["rates"]) == (CONTRADICTED, [])


def test_the_fastest_rate_is_chosen_on_other_seeds():
    class Chosen(MadeUp):
        def metrics(self, norm, x, seed):
            best = 0.125 if seed in SEARCH_SEEDS else 1.0  # what the judging seeds would like is not seen
            steps = 40 if x == best else 200
            return [
                {"step": 10 * i, "error": {"running": 90.0 if 10 * i < steps else 3.0}} for i in range(1, 41)
            ]

    assert claim_5_1.fastest_rate(Chosen(RATES_EXPERIMENT), "bn") == 0.125


def test_a_step_is_reached_by_the_mean_of_three_evaluations():
    found = rates(lambda norm, rate: [90.0, 2.0, 9.0, 3.0, 3.0, 3.0])
    assert smoothed_errors(found, "bn", 0.1, 100) == {30: 101 / 3, 40: 14 / 3, 50: 5.0, 60: 3.0}
    assert steps_to(found, "bn", 0.1, 100, 5.0) == 40
    assert steps_to(found, "bn", 0.1, 100, 1.0) == math.inf


def test_a_run_without_an_evaluation_reaches_nothing():
    """The other runs' verdict would be lost with it."""
    assert steps_to(rates(lambda norm, rate: []), "bn", 0.1, 100, 5.0) == math.inf


def test_a_diverged_run_reaches_nothing():
    found = MadeUp(RATES_EXPERIMENT, curve=lambda norm, rate: [3.0] * 9, status=lambda norm, x: "diverged")
    assert steps_to(found, "bn", 0.1, 100, 5.0) == math.inf


def test_cifar10_is_judged_by_bounds_of_its_own():
    found = MadeUp(RATES_EXPERIMENT.on(CIFAR10), curve=lambda norm, rate: [60.0] * 40)
    assert found.experiment.base == "claims/rates_cifar10"
    assert claim_5_1.steps_at_fastest(found, "bn") == dict.fromkeys(JUDGING, 30.0)


@pytest.mark.parametrize(("none", "expected"), [(10, UNDECIDED), (200, SUPPORTED)])
def test_batch_norm_that_is_there_at_the_first_look_is_not_called_slow(none, expected):
    """Both arms of CIFAR-10 were there at the first look, and the ratio 1 was read as a contradiction."""
    part = claim_5_1.judge({"rates": rates(reaching(bn=10, none=none, ln=60))})[0]
    assert part.verdict == expected
    assert part.found.endswith("batch norm is there at the first look")


def test_cifar10_is_looked_at_closely_where_its_evaluations_come_too_late():
    def soon(norm: str, rate: float) -> list[float]:
        return [60.0 if rate <= 2**-9 and 10 * i >= 300 else 90.0 for i in range(1, 121)]

    coarse = MadeUp(RATES_EXPERIMENT.on(CIFAR10), curve=soon)
    closer = closer_look({"rates": coarse})
    assert [one.name for one in closer] == ["close_rates_bn", "close_rates_none", "close_rates_ln"]
    assert {one.values for one in closer} == {(2**-11, 2**-10, 2**-9)}
    assert closer_look({"rates": rates(reaching(bn=50, none=120, ln=60))}) == []  # digits

    class Probed(MadeUp):
        def probes(self, norm, x, seed):
            steps = {"bn": 50, "none": 200, "ln": 60}[norm]
            errors = [(10 * i, 90.0 if 10 * i < steps else 60.0) for i in range(1, 41)]
            return [{"step": step, "errors": {"test": {"error": error}}} for step, error in errors]

    tables = {"rates": coarse} | {one.name: Probed(one) for one in closer}
    parts = claim_5_1.judge(tables)
    assert verdicts(parts[2:4]) == [SUPPORTED, SUPPORTED]
    assert parts[3].numbers["mean"] == pytest.approx(220 / 70)  # the last of three in a row


def initializations(bn_octaves: int, none_octaves: int, wobble: float = 0.0):
    """Tables of 5.3: each arm learns at gains of so many octaves, and at rates up to 1 and 1/8."""

    def gains(norm: str) -> MadeUp:
        wide = {"bn": bn_octaves, "none": none_octaves, "ln": 0}[norm]
        (one,) = (e for e in claim_5_3.gains(first) if e.name == f"gains_relu_{norm}")
        return MadeUp(one, lambda _, gain: 5.0 if 0 <= math.log2(gain) <= wide else 90.0, wobble=wobble)

    def largest(norm: str, rate: float) -> bool:
        return 2**-9 <= rate <= (1.0 if norm == "bn" else 0.125)

    found = rates(lambda norm, rate: [], largest)
    first = {"rates": found, "sigmoid_rates": found}
    return first | {f"gains_{net}_{norm}": gains(norm) for net in claim_5_3.NETS for norm in claim_5_3.NORMS}


@pytest.mark.parametrize(("none", "verdict"), [(1, SUPPORTED), (4, CONTRADICTED)])
def test_an_initialization_is_easier_if_more_octaves_of_gains_do(none, verdict):
    parts = claim_5_3.judge(initializations(bn_octaves=5, none_octaves=none))
    assert verdicts(parts) == [SUPPORTED, SUPPORTED, verdict, verdict]


def test_a_range_is_unbroken():
    learns = {0.25, 0.5, 1.0, 4.0, 8.0}
    (experiment,) = experiments({})
    found = MadeUp(experiment, lambda norm, rate: 5.0 if rate in learns else 90.0)
    bound = dict.fromkeys(JUDGING, 20.0)
    ranges = claim_5_3.stretches(found, "bn", bound).values()
    assert {claim_5_3.octaves(one) for one in ranges} == {2.0}
    assert {tuple(RATES[place] for place in one) for one in ranges} == {(0.25, 0.5, 1.0)}


def test_a_norm_that_never_learns_has_no_usable_rate_and_no_range():
    """Its best and two points were the error of chance at every rate: the widest range of all."""
    found = MadeUp(RATES_EXPERIMENT, lambda norm, rate: 90.0)
    assert set(claim_5_3.largest_usable(found, "bn").values()) == {-12.0}
    part = claim_5_3.wider("wider", dict.fromkeys(("bn", "none"), found), 2.0)
    assert part.numbers["mean"] == 0.0


@pytest.mark.parametrize(("bn", "none"), [((-6, 2), (-1, 6)), ((-1, 6), (-6, -4))])
def test_a_range_that_may_go_on_beyond_what_was_tried_decides_nothing(bn, none):
    first = initializations(bn_octaves=5, none_octaves=1)
    low_high = {"bn": bn, "none": none}

    def gains(norm: str) -> MadeUp:
        low, high = low_high[norm]
        (one,) = (e for e in claim_5_3.gains(first) if e.name == f"gains_relu_{norm}")
        return MadeUp(one, lambda _, gain: 5.0 if low <= math.log2(gain) <= high else 90.0, wobble=0.0)

    part = claim_5_3.wider("wider", {norm: gains(norm) for norm in low_high}, 3.0)
    assert part.verdict == UNDECIDED
    assert part.found.endswith("reaches the end of what was tried")


@pytest.fixture
def looked_at(monkeypatch):
    """What 5.4 finds in trained networks, as plain numbers."""

    def put(channels: float, within: float, batch: float, contrast: float, weights: float) -> MadeUp:
        names = (*claim_5_4.transforms(), "each its own")
        rises = {
            name: {"batch": [batch] * 5, "running": [contrast, contrast + 1, contrast]} for name in names
        }
        monkeypatch.setattr(claim_5_4, "correlation_changes", lambda found: [channels] * 5)
        monkeypatch.setattr(claim_5_4, "changes_within_a_batch", lambda found: [within] * 5)
        monkeypatch.setattr(claim_5_4, "changes", lambda found, norm: rises)
        by_weights = {name: [weights] * 5 for name in ("running", "precise", "batch")}
        monkeypatch.setattr(claim_5_4, "changes_by_weights", lambda found, norm: by_weights)
        (experiment,) = claim_5_4.experiments({})
        return MadeUp(experiment)

    return put


def test_correlations_and_relative_differences_are_judged_by_their_bounds(looked_at):
    good = looked_at(channels=0.1, within=0.1, batch=0.05, contrast=0.0, weights=0.0)
    assert set(verdicts(claim_5_4.judge({"trained": good}))) == {SUPPORTED}
    bad = looked_at(channels=1e-5, within=1e-5, batch=0.2, contrast=20.0, weights=3.0)
    assert set(verdicts(claim_5_4.judge({"trained": bad}))) == {CONTRADICTED}
    open_one = looked_at(channels=0.1, within=0.1, batch=0.0, contrast=4.6, weights=0.0)
    assert verdicts(claim_5_4.judge({"trained": open_one}))[3] == UNDECIDED


REFUSED = "ValueError: Expected more than 1 value per channel when training, got input size [1, 64, 1, 1]"


@pytest.fixture
def sizes(monkeypatch):
    """The tables of 6.1: what batch norm gets at 2, how the scatter falls, and what becomes of 1."""

    monkeypatch.setattr(claim_6_1, "KEPT", Path("nowhere"))

    def put(
        at_2: float, power: float, alone: str, wobble: float = 1.0, message: str = REFUSED
    ) -> dict[str, MadeUp]:
        (experiment,) = claim_6_1.experiments({})
        in_one = {n: n**power for n in claim_6_1.TRAINED}
        monkeypatch.setattr(claim_6_1, "spread_by_size", lambda found, seed: in_one)
        found = MadeUp(
            experiment,
            error=lambda norm, x: at_2 if x == 2 else 5.0,
            curve=lambda norm, x: [5.0],
            status=lambda norm, x: alone if x == 1 else "completed",
            spread=lambda n: n**power,
            wobble=wobble,
            message=message,
        )
        return {"batch_sizes": found}

    return put


def test_small_batches_are_bad_where_every_part_says_so(sizes):
    parts = claim_6_1.judge(sizes(at_2=20.0, power=-0.5, alone="failed"))
    assert verdicts(parts) == [SUPPORTED, UNDECIDED, SUPPORTED, SUPPORTED, SUPPORTED]


def test_runs_that_failed_for_another_reason_do_not_show_that_one_image_cannot_train(sizes):
    parts = claim_6_1.judge(sizes(at_2=20.0, power=-0.5, alone="failed", message="the worker process ended"))
    assert verdicts(parts)[2] == CONTRADICTED


def test_small_batches_are_not_bad_where_no_part_says_so(sizes):
    parts = claim_6_1.judge(sizes(at_2=6.0, power=-0.2, alone="completed"))
    assert verdicts(parts) == [CONTRADICTED, UNDECIDED, CONTRADICTED, CONTRADICTED, CONTRADICTED]


def test_cifar10_is_judged_from_the_folder_that_is_committed():
    folder = Path(__file__).parents[2] / "results" / "cifar10_quick"
    (part,) = claim_6_1.on_cifar10(folder)
    assert part.numbers["n"] >= 3
    assert part.numbers["mean"] == pytest.approx(of_cell(folder, 2) - of_cell(folder, 32))
    assert claim_6_1.on_cifar10(Path("nowhere")) == []


def of_cell(folder: Path, size: int) -> float:
    """The mean in summary.csv."""
    with (folder / "summary.csv").open() as file:
        rows = csv.DictReader(file)
        return next(float(row["mean"]) for row in rows if is_cell(row, size))


def is_cell(row: dict[str, str], size: int) -> bool:
    return (row["norm"], row["batch_size"], row["statistics"]) == ("bn", str(size), "running")
