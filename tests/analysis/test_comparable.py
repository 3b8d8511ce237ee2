"""Several sweeps in one figure: numbers of different configs would be mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnrepro.analysis.plot import write_plots
from bnrepro.analysis.results import load_results
from bnrepro.config.errors import UsageError

SMALL = {"norms": ("bn", "gn"), "batch_sizes": (2, 4)}


def test_seeds_norms_and_batch_sizes_of_two_sweeps_come_together(sweep, tmp_path: Path) -> None:
    first = sweep("a", **SMALL)
    second = sweep("b", norms=("bn", "none"), batch_sizes=(2, 8), seeds=(1,))
    results = load_results([first, second])
    n = results.summary.set_index(["norm", "batch_size", "statistics"])["n"]
    assert n["bn", 2, "running"] == 2
    assert n["none", 8, "running"] == 1
    assert list(results.summary["norm"].unique()) == ["bn", "gn", "none"]
    plots = write_plots([first, second], out=tmp_path / "out", formats=["png"])
    assert {path.parent for path in plots.written} == {tmp_path / "out"}
    assert not (first / "table.csv").exists()


def test_several_sweeps_need_out(sweep) -> None:
    with pytest.raises(UsageError, match="--out"):
        write_plots([sweep("a", **SMALL), sweep("b", **SMALL, seeds=(1,))])


def test_sweeps_that_differ_in_one_key_are_variants_of_it(sweep) -> None:
    paths = [
        sweep("a", **SMALL, base={"optimizer": {"base_lr": 0.2}}),
        sweep("b", **SMALL, base={"optimizer": {"base_lr": 0.4}}),
        sweep("c", **SMALL, seeds=(1,), base={"optimizer": {"base_lr": 0.4}}),
    ]
    results = load_results(paths)
    assert results.variants.key == "optimizer.base_lr"
    n = results.summary.set_index(["variant", "norm", "batch_size", "statistics"])["n"]
    assert (n["0.2", "bn", 2, "running"], n["0.4", "bn", 2, "running"]) == (1, 2)


def test_a_group_of_keys_with_another_name_is_one_difference(sweep) -> None:
    """protocol=workers changes two keys, model=resnet20 what belongs to it."""
    paths = [sweep(protocol, **SMALL, protocol=protocol) for protocol in ("coupled", "workers")]
    results = load_results(paths)
    assert (results.variants.key, results.variants.values) == ("protocol", ("coupled", "workers"))


def test_more_than_one_different_key_is_refused_with_the_keys(sweep, tmp_path: Path) -> None:
    paths = [
        sweep("a", **SMALL),
        sweep("b", **SMALL, base={"optimizer": {"base_lr": 0.4}, "precision": "bf16"}),
    ]
    with pytest.raises(UsageError, match=r"optimizer\.base_lr: 0\.2 -> 0\.4; precision: float32 -> bf16"):
        write_plots(paths, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_key_each_is_not_one_key(sweep) -> None:
    """A figure of three sweeps has one key to tell them apart."""
    bases = [{}, {"precision": "bf16"}, {"optimizer": {"base_lr": 0.4}}]
    with pytest.raises(UsageError, match="one key"):
        load_results([sweep(f"{place}", **SMALL, base=base) for place, base in enumerate(bases)])


def test_what_cannot_change_a_number_may_differ(sweep) -> None:
    paths = [sweep("a", **SMALL), sweep("b", **SMALL, seeds=(1,), base={"tensorboard": False})]
    assert len(load_results(paths).table) == 8


def test_a_norm_with_other_options_is_another_line(sweep) -> None:
    """groups=8 and groups=1 would be one line called gn."""
    paths = [
        sweep("a", **SMALL, norm_options={"gn": {"groups": 8}}),
        sweep("b", **SMALL, seeds=(1,), norm_options={"gn": {"groups": 1}}),
    ]
    variants = load_results(paths).variants
    assert (variants.key, variants.values) == ("norm.gn.groups", ("8", "1"))


def test_options_of_a_norm_that_only_one_sweep_has_do_not_matter(sweep) -> None:
    paths = [
        sweep("a", norms=("gn",), batch_sizes=(2,), norm_options={"gn": {"groups": 8}}),
        sweep("b", norms=("bn",), batch_sizes=(2,)),
    ]
    assert list(load_results(paths).table["norm"]) == ["gn", "bn"]


def test_a_cell_of_two_sweeps_counts_once_and_the_finished_one_of_them(sweep) -> None:
    first = sweep("a", **SMALL, states={"bn-b2-s0": "failed"})
    results = load_results([first, sweep("b", **SMALL), first])
    assert len(results.table) == 4
    assert (results.table["status"] == "completed").all()
    assert (results.summary["n"] == 1).all()


def test_curves_and_evaluations_are_of_the_run_that_counts(sweep) -> None:
    """The failed try came first, and its half curve stood beside the finished run's number."""
    first = sweep("a", **SMALL, states={"bn-b2-s0": "failed"})
    runs = {
        row["id"]: (row["status"], lines)
        for _, row, lines in load_results([first, sweep("b", **SMALL)]).runs([])
    }
    assert len(runs) == 4
    status, lines = runs["bn-b2-s0"]
    assert (status, lines[-1]["epoch"]) == ("completed", 6)


def damage(path: Path, cell: str) -> Path:
    (path / "cells" / cell / "result.json").write_text("{")
    return path


def test_a_damaged_cell_is_not_counted_as_finished(sweep) -> None:
    results = load_results([damage(sweep("a", **SMALL, states={"gn-b2-s0": "missing"}), "bn-b2-s0")])
    assert (results.finished, results.missing, list(results.damaged)) == (2, ["gn-b2-s0"], ["bn-b2-s0"])


def test_a_damaged_cell_that_another_sweep_has_is_not_left_out(sweep) -> None:
    results = load_results([damage(sweep("a", **SMALL), "bn-b2-s0"), sweep("b", **SMALL)])
    assert (results.finished, results.damaged) == (4, {})


def test_a_cell_damaged_in_one_variant_is_missing_in_another_that_lacks_it(sweep) -> None:
    results = load_results(
        [
            damage(sweep("a", **SMALL), "bn-b2-s0"),
            sweep("b", **SMALL, protocol="workers", states={"bn-b2-s0": "missing"}),
        ]
    )
    assert list(results.damaged) == ["bn-b2-s0 (protocol=coupled)"]
    assert results.missing == ["bn-b2-s0 (protocol=workers)"]
