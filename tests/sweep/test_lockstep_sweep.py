"""A user's sweep would lose seeds, or mix roundings, because of --lockstep."""

import json

import pytest
import torch
from tiny_runs import TINY, call, image_folder, tiny_config, tiny_run

from bnrepro.config.errors import UsageError
from bnrepro.sweep.lockstep import decide, images_per_second, parse_lockstep
from bnrepro.sweep.plan import Axes, plan_sweep
from bnrepro.training.speed.timing import standstill_sessions

SWEEP = (*(o for o in TINY if not o.startswith("batch_size=")), "--norms", "bn,gn", "--batch-sizes", "16")


def sweep(directory, *arguments, seeds="0,1,2"):
    return call(
        "sweep", "batch-size", *SWEEP, "--seeds", seeds, "--jobs", "2", "--out", str(directory), *arguments
    )


def decided(directory):
    return json.loads((directory / "sweep.json").read_text())["lockstep"]


def lockstep_of(directory, cell):
    return json.loads((directory / "cells" / cell / "env.json").read_text()).get("lockstep")


def test_seeds_train_together_and_are_told_apart(tmp_path):
    assert sweep(tmp_path, "--lockstep", "2").code == 0
    assert decided(tmp_path) == {"bn-b16": 2, "gn-b16": 2}
    assert [lockstep_of(tmp_path, f"bn-b16-s{seed}") for seed in (0, 1, 2)] == [2, 2, None]
    results = [
        json.loads((tmp_path / "cells" / f"bn-b16-s{seed}" / "result.json").read_text()) for seed in (0, 1, 2)
    ]
    assert [result["seed"] for result in results] == [0, 1, 2]
    assert all(result["status"] == "completed" for result in results)


def test_on_the_cpu_it_is_off_and_stays_so(tmp_path):
    assert sweep(tmp_path, seeds="0").code == 0
    assert decided(tmp_path) == {"bn-b16": 1, "gn-b16": 1}
    refused = sweep(tmp_path, "--lockstep", "3")
    assert refused.code == 2
    assert "were trained with off" in refused.err
    assert sweep(tmp_path).code == 0
    assert lockstep_of(tmp_path, "bn-b16-s2") is None


def test_a_decision_is_kept_on_resume(tmp_path):
    assert sweep(tmp_path, "--lockstep", "2", seeds="0,1").code == 0
    assert sweep(tmp_path, seeds="0,1,2,3").code == 0
    assert [lockstep_of(tmp_path, f"gn-b16-s{seed}") for seed in range(4)] == [2, 2, 2, 2]
    refused = sweep(tmp_path, "--lockstep", "off")
    assert refused.code == 2
    assert "were trained with 2" in refused.err


def test_in_fixed_sgd_the_batch_sizes_of_bn_train_together(tmp_path):
    """They differ in how images are grouped; those of other norms keep to themselves."""
    axes = ("--norms", "bn,brn,gn", "--batch-sizes", "4,8,16", "--seeds", "0,1", "--out", str(tmp_path))
    shapes = ("protocol=fixed_sgd", "protocol.sgd_batch_size=16", *SWEEP[:-4])
    assert call("sweep", "batch-size", *shapes, *axes, "--jobs", "2", "--lockstep", "6").code == 0
    assert decided(tmp_path) == {"bn": 6, "brn-b4": 6, "brn-b8": 6, "brn-b16": 6, "gn-b16": 6}
    cells = {path.name: json.loads((path / "env.json").read_text()) for path in tmp_path.glob("cells/*")}
    assert {cell: env.get("lockstep") for cell, env in cells.items()} == {
        **{f"bn-b{size}-s{seed}": 6 for size in (4, 8, 16) for seed in (0, 1)},
        **{f"brn-b{size}-s{seed}": 2 for size in (4, 8, 16) for seed in (0, 1)},
        **{f"gn-b16-s{seed}": 2 for seed in (0, 1)},
    }
    for size in (4, 8, 16):
        own = tmp_path / "cells" / f"bn-b{size}-s1"
        alone = tiny_run(
            tmp_path / "alone" / own.name, *shapes[:2], "norm=bn", f"batch_size={size}", "seed=1"
        )
        result = json.loads((own / "result.json").read_text())
        assert (result["norm_batch_size"], result["seed"]) == (size, 1)
        assert result["train_error"] == pytest.approx(alone["train_error"], abs=2)
        assert result["config_hash"] == alone["config_hash"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--lockstep", "many"), "must be auto, off or a number of cells"),
        (("--lockstep", "0"), "must be auto, off or a number of cells"),
        (("--lockstep", "2", "micro_batch_size=8"), "micro_batch_size"),
        (("--lockstep", "2", "compile=true"), "compile=true"),
        (("--lockstep", "auto", "--launcher", "slurm"), "on Slurm give off or a number"),
        (("--lockstep", "2", "--launcher", "slurm", "launcher.tasks_per_node=2"), "several processes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, arguments, says):
    jobs = [] if "slurm" in arguments else ["--jobs", "1"]
    refused = call("sweep", "batch-size", *SWEEP, *jobs, "--out", str(tmp_path / "sweep"), *arguments)
    assert refused.code == 2
    assert says in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_the_measurement_behind_auto_runs_on_any_device():
    """On a GPU it decides; its logic needs none."""
    seeds = [tiny_config("data.train_subset=32", f"seed={seed}") for seed in (0, 1)]
    assert images_per_second(seeds[:1]) > 0
    assert images_per_second(seeds) > 0


@pytest.mark.parametrize("protocol", ["coupled", "fixed_sgd"])
def test_auto_measures_every_shape_and_leaves_one_that_fails_alone(tmp_path, monkeypatch, protocol):
    """As on a GPU; a cell that cannot train must not end the sweep before it begins."""
    monkeypatch.setattr("bnrepro.sweep.lockstep.resolve_device", lambda name: torch.device("cuda"))
    root = image_folder(tmp_path / "photos", size=4, per_class=20)
    overrides = ["data=image_folder", f"data.root={root}", f"protocol={protocol}"]
    overrides += ["protocol.sgd_batch_size=4"] if protocol == "fixed_sgd" else []
    plan = plan_sweep(overrides, Axes(("bn", "gn"), (1, 4), (0, 1)), 40)
    told = []
    found = decide(plan, tmp_path, None, (), told.append)
    shapes = {"coupled": ["bn-b1", "bn-b4", "gn-b1", "gn-b4"], "fixed_sgd": ["bn", "gn-b4"]}[protocol]
    assert list(found) == shapes
    assert list(dict.fromkeys(line.split(":")[0] for line in told)) == shapes
    assert "Expected more than 1 value per channel" in told[0]
    assert found[shapes[0]] == 1, "its first cell has one value per channel"
    assert all(number in (1, 2, 4) for number in found.values())


def test_words_of_the_option():
    assert [parse_lockstep(word) for word in ("auto", "off", "1", "16")] == [None, 1, 1, 16]
    with pytest.raises(UsageError):
        parse_lockstep("-1")


def test_dry_run_times_seeds_as_they_would_train_and_writes_nothing(tmp_path, monkeypatch):
    """Else the time it promises would be that of another sweep."""
    timed = []
    for name in ("LEAST_SECONDS", "TIMED_SECONDS"):
        monkeypatch.setattr(f"bnrepro.sweep.forecast.{name}", 0.01)
    monkeypatch.setattr(
        "bnrepro.sweep.forecast.standstill_sessions",
        lambda configs, *data: timed.append(len(configs)) or standstill_sessions(configs, *data),
    )
    axes = ("--norms", "gn", "--batch-sizes", "16,32", "--seeds", "0,1,2", "--out", str(tmp_path / "sweep"))
    arguments = ("sweep", "batch-size", *SWEEP[:-4], *axes, "--dry-run")
    shown = call(*arguments, "--lockstep", "2")
    assert shown.code == 0, shown.err
    assert timed == [2, 2]
    assert "about " in shown.out
    assert call(*arguments).code == 0
    assert timed == [2, 2, 1, 1]
    fixed = ("protocol=fixed_sgd", "protocol.sgd_batch_size=32", "--lockstep", "4")
    assert call(*arguments, "--norms", "bn", *fixed).code == 0
    assert timed == [2, 2, 1, 1, 4, 2], "four of both batch sizes, and the two seeds that are left"
    assert not (tmp_path / "sweep").exists()
