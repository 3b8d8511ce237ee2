"""A user's measurements would be lost, twice there, or of another step."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import TINY, call, tiny_config, tiny_run
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.norms import role_of
from bnrepro.probes import PROBES, Probe
from bnrepro.rundir.boards import board_directory
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.run import run

LOOKING = ("probes=[inputs,gradients,shift]", "probe_steps=[0,1,3,8]", "data.train_subset=128")


def probed(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "probes.jsonl").read_text().splitlines()]


def test_every_layer_is_there_at_every_step(tmp_path):
    tiny_run(tmp_path, *LOOKING, "tensorboard=true")
    lines = probed(tmp_path)
    assert [line["step"] for line in lines] == [0, 1, 3, 8]
    convs = ["conv", *(f"blocks.{block}.conv{i}" for block in range(3) for i in (1, 2)), "classifier"]
    for line in lines:
        assert list(line["gradients"]) == convs
        assert list(line["inputs"]["norms"]) == [name.replace("conv", "norm") for name in convs[:-1]]
        assert list(line["inputs"]["activations"]) == ["act", *(f"blocks.{i}.act1" for i in range(3))]
        assert list(line["shift"]) == ([] if line["step"] == 8 else convs[1:]), "8 is the last step"
    assert {value["distance"] for value in lines[0]["inputs"]["norms"].values()} == {0.0}
    assert all(value["distance"] > 0 for value in lines[-1]["inputs"]["norms"].values())
    board = EventAccumulator(str(board_directory(tmp_path)))
    board.Reload()
    drawn = board.Scalars("inside/gradients.weight/blocks.2.conv2")
    assert [event.step for event in drawn] == [0, 16, 48, 128], "images seen"
    assert drawn[1].value == pytest.approx(lines[1]["gradients"]["blocks.2.conv2"]["weight"], rel=1e-6)
    assert [event.step for event in board.Scalars("train/loss")] == [128], "not the probe batch's"


@pytest.mark.parametrize(
    ("stop_at", "norm"), [*((step, "bn") for step in (0, 1, 2, 3, 4, 7)), (3, "bn_noisy"), (4, "bn_noisy")]
)
def test_an_interrupted_run_measures_the_same(tmp_path, stop_at, norm):
    """Also between a step that is looked at and the one after it, which `shift` needs, and with a norm that
    is another one in every step.
    """
    config = tiny_config(*LOOKING, f"norm={norm}")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(config, whole)
    stop = StopFlag()

    def report(progress):
        if progress.step >= stop_at:
            stop.set()

    with pytest.raises(Interrupted):
        run(config, broken, stop=stop, report=report)
    assert len(probed(broken)) < len(probed(whole)) or stop_at == 7
    run(config, broken)
    assert (broken / "probes.jsonl").read_text() == (whole / "probes.jsonl").read_text()


def test_models_in_lockstep_are_looked_at_one_by_one(tmp_path):
    asked = ("--norms", "bn", "--seeds", "0,1", "--jobs", "1", "--lockstep", "2", "--out", str(tmp_path))
    sizes = ("--batch-sizes", "16")
    tiny = [override for override in TINY if not override.startswith("batch_size=")]
    ended = call("sweep", "batch-size", *tiny, *LOOKING, *asked, *sizes)
    assert ended.code == 0, ended.err
    tiny_run(tmp_path / "alone", *LOOKING, "seed=1")
    together, alone = probed(tmp_path / "cells" / "bn-b16-s1"), probed(tmp_path / "alone")
    assert [together[0][name] for name in ("inputs", "gradients")] == [
        alone[0][name] for name in ("inputs", "gradients")
    ]
    for own, single in zip(together, alone, strict=True):
        layer = "blocks.1.conv2"
        assert own["gradients"][layer] == pytest.approx(single["gradients"][layer], rel=0.02)


def test_a_probe_of_the_users_own_is_one_class(tmp_path):
    class Weights(Probe):
        def measure(self, look, network, after):
            return {name: {"rows": len(layer.gradient)} for name, layer in look.weights.items()}

    PROBES.register("weights")(Weights)
    try:
        tiny_run(tmp_path, "probes=[weights]", "probe_steps=[0]")
    finally:
        del PROBES["weights"]
    assert probed(tmp_path)[0]["weights"]["conv"] == {"rows": 16}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("probes=[foo]", "probes=foo: choices: correlation, errors, gradients, inputs, moves, shift"),
        ("probe_steps=[-1]", "probe_steps=-1: must be 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(tmp_path, override, says):
    with pytest.raises(UsageError) as refused:
        tiny_run(tmp_path, override)
    assert says in str(refused.value)
    sweep = ("sweep", "batch-size", "--norms", "bn", "--batch-sizes", "4", override)
    refused = call(*sweep, "--out", str(tmp_path / "sweep"))
    assert refused.code == 2
    assert says in refused.err
    assert not (tmp_path / "sweep").exists()


def test_layers_of_a_network_that_is_not_ours_are_found(tmp_path):
    """PyTorch's own norms and activations, by their classes."""
    tiny_run(tmp_path, "model=mlp", "model.activation=identity", "probes=[inputs]", "probe_steps=[0]")
    (line,) = probed(tmp_path)
    assert list(line["inputs"]["activations"]) == [f"hidden.{i}.act" for i in range(3)]
    assert [role_of(layer) for layer in (nn.BatchNorm2d(4), nn.GELU(), nn.Linear(2, 2), nn.Identity())] == [
        *("norm", "activation", "", "")
    ]


def test_errors_are_those_of_the_runs_own_evaluation(tmp_path):
    """Whatever else looks: of test images all, of training images the probe batch."""
    overrides = ("model=mlp", "model.dropout=0.5", "epochs=2", "evaluation.every=1", "norm=bn")
    steps = "probe_steps=[0,8,16]"
    tiny_run(tmp_path / "alone", *overrides, "probes=[errors]", steps)
    tiny_run(tmp_path / "all", *overrides, "probes=[inputs,shift,errors]", steps)
    lines, beside = (probed(tmp_path / name) for name in ("alone", "all"))
    assert [line["errors"] for line in lines] == [line["errors"] for line in beside]
    evaluated = [json.loads(line) for line in (tmp_path / "alone" / "metrics.jsonl").read_text().splitlines()]
    running = [line["error"]["running"] for line in evaluated]
    assert [line["errors"]["test"]["error"] for line in lines[1:]] == pytest.approx(running, rel=1e-6)
    assert lines[0]["errors"]["train"]["loss"] > lines[2]["errors"]["train"]["loss"]
    assert [lines[0]["probe_loss"], beside[0]["probe_loss"] is None] == [None, False]
