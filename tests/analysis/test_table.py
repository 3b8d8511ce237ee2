"""Reading a sweep: a user would plot wrong, stale or foreign numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bnrepro.analysis import load_table
from bnrepro.config.errors import UsageError


def test_a_row_per_finished_cell_in_the_order_of_the_plan(sweep) -> None:
    path = sweep(norms=("none", "bn"), batch_sizes=(4, 1), states={"bn-b4-s0": "missing"})
    table = load_table(path)
    assert list(table["id"]) == ["none-b4-s0", "none-b1-s0", "bn-b1-s0"]


def test_errors_are_flat_columns_and_absent_statistics_are_nan(sweep) -> None:
    error = {"running": 51.2, "precise": 50.1, "batch": 49.9}
    path = sweep(
        norms=("bn", "gn"),
        batch_sizes=(4,),
        error=lambda norm, *_: dict(list(error.items())[: 3 if norm == "bn" else 1]),
    )
    bn, gn = load_table(path).to_dict("records")
    assert (bn["error_running"], bn["error_precise"], bn["error_batch"]) == (51.2, 50.1, 49.9)
    assert bn["last_errors_precise"] == [50.1]
    assert gn["error_running"] == 51.2
    assert pd.isna(gn["error_precise"])
    assert pd.isna(gn["norm_batch_size"])
    assert bn["norm_batch_size"] == 4


def test_diverged_has_chance_and_failed_has_no_error_but_its_sizes(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2), states={"bn-b1-s0": "failed", "bn-b2-s0": "diverged"})
    table = load_table(path).set_index("batch_size")
    assert list(table["status"]) == ["failed", "diverged"]
    assert table.loc[2, ["error_running", "error_precise", "error_batch"]].tolist() == [90.0] * 3
    assert pd.isna(table.loc[1, "error_running"])
    assert table.loc[1, "norm_batch_size"] == 1


def test_unfinished_sweep_gives_an_empty_table_with_the_columns(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1,), states={"bn-b1-s0": "missing"})
    table = load_table(path)
    assert table.empty
    assert "error_running" in table.columns


def test_files_beside_the_plan_are_not_read(sweep) -> None:
    """A cell that left the plan, or a stray directory, must not enter the figure."""
    path = sweep(norms=("bn",), batch_sizes=(1,))
    stray = path / "cells" / "bn-b2-s0"
    stray.mkdir()
    (stray / "result.json").write_text("{}")
    assert list(load_table(path)["id"]) == ["bn-b1-s0"]


def test_result_of_another_config_is_refused_by_name(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2))
    file = path / "cells" / "bn-b2-s0" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"config_hash": "0123456789ab"}))
    with pytest.warns(UserWarning, match=r"bn-b2-s0.result\.json: is of another config .*0123456789ab"):
        assert list(load_table(path)["id"]) == ["bn-b1-s0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a sweep directory"),
        ("{'a': ", "not JSON"),
        ("[]", "must be an object"),
        ('{"schema": 99}', "schema must be one of 1, 2"),
    ],
)
def test_what_is_no_sweep_is_one_clear_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        load_table(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupt_result_names_the_file(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1,))
    (path / "cells" / "bn-b1-s0" / "result.json").write_text("{")
    with pytest.warns(UserWarning, match=r"bn-b1-s0.result\.json"):
        assert load_table(path).empty


def test_import_is_light() -> None:
    """A notebook without torch reads the results; `--help` does not wait for pandas."""
    heavy = ("torch", "pandas", "matplotlib", "scipy", "hydra")
    code = f"import sys, bnrepro.analysis, bnrepro.cli.plot; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_whole_report_needs_no_torch() -> None:
    code = "import sys, bnrepro.analysis.plot; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
