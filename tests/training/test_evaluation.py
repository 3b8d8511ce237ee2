"""A user would get other errors by looking more often."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run

from bnrepro.config.validate import STATISTICS
from bnrepro.data import load_data
from bnrepro.norms import NORMS, build_norm, traits_of
from bnrepro.norms.moments import Moments
from bnrepro.training.layer_moments import LayerMoments
from bnrepro.training.session import Session

BATCH_NORMS = sorted(name for name, factory in NORMS.items() if traits_of(factory).batch_statistics)
CPU = torch.device("cpu")


def prepared(*overrides: str) -> Session:
    config = tiny_config(*overrides)
    return Session.prepare(config, load_data(config.data), CPU)


@pytest.mark.parametrize("norm", [*BATCH_NORMS, "gn"])
def test_evaluating_every_epoch_changes_no_number(tmp_path, norm):
    """Bit for bit: the last evaluation, the losses, and the result."""
    overrides = (f"norm={norm}", "epochs=2", "data.train_subset=64", "batch_size=8")
    tiny_run(tmp_path / "seldom", *overrides)
    tiny_run(
        tmp_path / "often", *overrides, "evaluation.every=1", "evaluation.statistics=[batch,precise,running]"
    )
    seldom, often = (record(tmp_path / name) for name in ("seldom", "often"))
    assert len(seldom["metrics"]) == 1
    assert len(often["metrics"]) == 2
    assert often["metrics"][-1] == seldom["metrics"][-1]
    assert often["result"]["error"] == seldom["result"]["error"]


def test_the_size_of_an_evaluation_pass_changes_no_error(tmp_path):
    overrides = ("epochs=2", "data.train_subset=64", "batch_size=4")
    one, other = (
        tiny_run(tmp_path / size, *overrides, f"evaluation.batch_size={size}")["error"]
        for size in ("500", "7")
    )
    assert one == pytest.approx(other, abs=0.6)  # one image of 360 may lie on the border of float32


def test_batch_norms_have_three_errors_and_others_one(tmp_path):
    assert list(tiny_run(tmp_path / "bn", "norm=bn")["error"]) == ["running", "precise", "batch"]
    assert list(tiny_run(tmp_path / "gn", "norm=gn")["error"]) == ["running"]


def test_statistics_batch_take_groups_of_the_normalization_batch_from_one_shuffled_order():
    """Sorted by class, a group would be a class."""
    session = prepared("batch_size=16")
    by_class = session.dataset.test.labels.argsort()
    test = replace(
        session.dataset.test, stored=session.dataset.test.images[by_class], labels=by_class.sort().values
    )
    session = Session.prepare(session.config, replace(session.dataset, test=test), CPU)
    labels, counted = [], 0
    for x, y, count in session.evaluator.shuffled_groups():
        assert len(x) % 16 == 0
        labels.append(y[:count])
        counted += count
    assert counted == 360  # 360 = 22 × 16 + 8: the last group is filled up, and the repeated not counted
    assert sorted(torch.cat(labels).tolist()) == test.labels.tolist()
    assert all(len(group.unique()) > 4 for group in torch.cat(labels)[:352].split(16))


@pytest.mark.parametrize("images", [1, 15, 17, 100_000])
def test_precise_statistics_take_whole_groups_of_the_training_images(images):
    """Also where fewer images than one group are asked for: a crash at the end of a long run."""
    session = prepared("batch_size=16", f"evaluation.precise_images={images}")
    with torch.inference_mode():
        errors, moments = session.evaluator.errors(STATISTICS, 1)
    groups = {layer.groups for layer in moments.values()}
    assert groups == {8 if images > 128 else 1}
    assert set(errors) == set(STATISTICS)


def test_an_evaluation_leaves_every_tensor_and_mode_as_it_was():
    session = prepared("norm=bn")
    model = session.trainer.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    session.evaluator.errors(STATISTICS, 1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(module.training for module in model.modules())


def test_a_layer_whose_variance_overflows_leaves_metrics_that_are_json():
    """JSON has no infinity: one such number, and no other program could read the line."""
    model = torch.nn.Sequential(build_norm("bn", 2))
    moments = LayerMoments({"0": Moments(2, torch.device("cpu"))})
    moments["0"].add(torch.zeros(4, 2), torch.tensor([[1.0, float("inf")]]).expand(4, 2))
    distances = moments.distances(model)
    assert json.loads(json.dumps(distances, allow_nan=False)) == distances
