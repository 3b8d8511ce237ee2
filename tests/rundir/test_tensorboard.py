"""What TensorBoard shows: runs by short names, batch sizes on one scale, every cell in the HPARAMS tab."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from bnrepro.rundir.boards import board_directory, clear_board, sweep_board
from bnrepro.rundir.tensorboard import METRIC, TensorBoard, tag_of, write_experiment

LINE = {
    "epoch": 2,
    "step": 10,
    "lr": 0.1,
    "loss": 1.5,
    "train_error": 30.0,
    "error": {"running": 40.0, "precise": 39.0},
    "layers": {"stage1.0.norm1": {"spread_mean": 0.5}},
}
CONFIG = {
    "batch_size": 4,
    "seed": 0,
    "norm": {"name": "bn", "options": {"eps": 1e-5}},
    "optimizer": {"name": "sgd", "base_lr": 0.4},
    "schedule": {"milestones": [30, 60]},
}
PLAN = {"norms": ["bn", "gn"], "seeds": [0, 1], "cells": [{"batch_size": size} for size in (1, 4)]}


def events(directory: Path) -> EventAccumulator:
    found = EventAccumulator(str(directory))
    found.Reload()
    return found


def hparams(found: EventAccumulator, tag: str) -> HParamsPluginData:
    content = found.SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


@pytest.mark.parametrize(
    ("run", "board"),
    [
        ("sweep/cells/bn-b4-s0", "sweep/tensorboard/bn-b4-s0"),
        ("run", "run/tensorboard"),
    ],
)
def test_a_cell_is_called_by_its_name(run: str, board: str) -> None:
    assert board_directory(Path(run)) == Path(board)


def test_scalars_stand_over_images_seen_in_three_groups(tmp_path: Path) -> None:
    """A step has as many images as the batch: over steps, batch sizes could not be compared."""
    board = TensorBoard(tmp_path, images_per_step=64)
    board.evaluation(LINE)
    board.close()
    found = events(tmp_path / "tensorboard")
    assert sorted(found.Tags()["scalars"]) == [
        *("error/precise", "error/running", "error/train"),
        "inside/spread_mean/stage1.0.norm1",
        *("train/loss", "train/lr"),
    ]
    (scalar,) = found.Scalars("error/running")
    assert (scalar.step, scalar.value) == (640, 40)
    assert abs(scalar.wall_time - time.time()) < 3600


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("gradients.stage1.0.conv1.weight", "inside/gradients.weight/stage1.0.conv1"),
        ("correlation.mean", "inside/correlation.mean"),
        ("train_seconds", "train/train_seconds"),
    ],
)
def test_what_a_probe_measures_is_inside(key: str, tag: str) -> None:
    assert tag_of(key) == tag


def test_a_result_is_a_trial_with_one_metric(tmp_path: Path) -> None:
    run = tmp_path / "cells" / "bn-b4-s0"
    board = TensorBoard(run, images_per_step=4)
    board.result({"error": {"running": 40.0, "precise": 39.0}}, CONFIG)
    board.close()
    found = events(tmp_path / "tensorboard" / "bn-b4-s0")
    assert found.Tags()["scalars"] == [METRIC]
    trial = hparams(found, "_hparams_/session_start_info").session_start_info
    assert trial.group_name == "bn-b4-s0"
    assert trial.hparams["norm"].string_value == "bn"
    assert trial.hparams["batch_size"].number_value == 4
    assert trial.hparams["optimizer.base_lr"].number_value == 0.4
    assert trial.hparams["schedule.milestones"].string_value == "[30, 60]"
    assert trial.hparams["norm.eps"].number_value == pytest.approx(1e-5)


def test_the_experiment_has_every_value_and_replaces_that_of_an_earlier_call(tmp_path: Path) -> None:
    """A value that is not listed is not shown: a sweep may grow."""
    write_experiment(tmp_path, PLAN)
    write_experiment(tmp_path, PLAN | {"cells": [*PLAN["cells"], {"batch_size": 16}]})
    assert len(list(sweep_board(tmp_path).iterdir())) == 1
    experiment = hparams(events(sweep_board(tmp_path)), "_hparams_/experiment").experiment
    domains = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert domains == {"norm": ["bn", "gn"], "batch_size": [1, 4, 16], "seed": [0, 1]}
    assert [metric.name.tag for metric in experiment.metric_infos] == [METRIC]


def test_the_experiment_of_another_axis_has_its_key(tmp_path: Path) -> None:
    cells = [{"batch_size": 32, "x": value} for value in (1, 0.1)]
    axis = {"key": "optimizer.base_lr"}
    write_experiment(tmp_path, {"norms": ["bn"], "axis": axis, "seeds": [0], "cells": cells})
    experiment = hparams(events(sweep_board(tmp_path)), "_hparams_/experiment").experiment
    assert [info.name for info in experiment.hparam_infos] == ["norm", "optimizer.base_lr", "seed"]
    assert list(experiment.hparam_infos[1].domain_discrete) == [0.1, 1]


def test_a_link_in_the_place_of_a_board_is_left_alone(tmp_path: Path) -> None:
    """A sweep directory may be somebody else's."""
    mine = tmp_path / "mine"
    (mine / "bn-b4-s0").mkdir(parents=True)
    run = tmp_path / "sweep" / "cells" / "bn-b4-s0"
    run.mkdir(parents=True)
    (tmp_path / "sweep" / "tensorboard").symlink_to(mine)
    clear_board(run)
    assert (mine / "bn-b4-s0").is_dir()
