"""`bnrepro bench`: what a user types and sees."""

import json
from pathlib import Path

import pytest
from tiny_runs import call


@pytest.mark.slow
def test_one_small_cell_is_measured_in_all_three_ways(tmp_path: Path) -> None:
    out = tmp_path / "bench"
    options = ("--norms", "gn", "--batch-sizes", "64", "--quick", "--out", str(out))
    ended = call("bench", "device=cpu", "data.image_size=8", *options)
    assert ended.code == 0, ended.err
    assert "gn-b64" in ended.out
    assert "round 3 of 3: gn, batch size 64" in ended.out
    assert {path.name for path in out.iterdir()} == {"bench.json", "bench.csv", "bench.png", "bench.svg"}
    report = json.loads((out / "bench.json").read_text())
    (row,) = report["cells"]
    for kind in ("ours", "tutorial", "limit"):
        assert row[f"{kind}_images_per_second"]["n"] == 3
        assert row[f"{kind}_images_per_second"]["low"] > 0
        assert row[f"{kind}_peak_memory_bytes"] > 10_000_000
    assert row["loader_workers"] in (0, 2, 4)
    assert 0 < row["share_of_matrix_peak"] < 1
    (evaluation,) = report["evaluation"]
    assert evaluation["evaluation_per_forward"]["low"] > 0
    assert "forward alone" in ended.out
    assert {"commit", "versions", "device"} <= set(report["environment"])


def test_a_batch_size_that_is_no_number_is_refused() -> None:
    ended = call("bench", "--batch-sizes", "many")
    assert ended.code == 2
    assert "--batch-sizes many: must be whole numbers" in ended.err
