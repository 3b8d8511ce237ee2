"""Adam and clipped gradients would train something else than what they are called."""

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run
from torch import nn

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.data import load_data
from bnrepro.training.optimizer import build_optimizer, state_tensors
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.session import Session

MLP = ("model=mlp", "model.width=16", "model.depth=1")
ADAM = (*MLP, "optimizer=adam")


def test_adam_takes_torchs_steps_from_a_state_of_zeros():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(compose_config([*ADAM]).optimizer, ours.parameters(), 0.01)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01)
    assert set(state_tensors(optimizer)) == {"step", "exp_avg", "exp_avg_sq"}
    for x in torch.randn(5, 4, 3):
        for model, steps in ((ours, optimizer), (theirs, reference)):
            model(x).square().sum().backward()
            steps.step()
            steps.zero_grad()
    torch.testing.assert_close(ours.weight, theirs.weight)
    assert state_tensors(optimizer)["step"][0] == 5


@pytest.mark.parametrize("options", [ADAM, (*MLP, "model.dropout=0.5"), (*MLP, "optimizer.clip_norm=0.1")])
def test_an_interrupted_run_is_one_in_one_go(options, tmp_path):
    options = (*options, "epochs=2", "evaluation.every=1")
    whole = tiny_run(tmp_path / "whole", *options)
    stop = StopFlag()
    stop.set()
    while True:
        try:
            tiny_run(tmp_path / "parts", *options, stop=stop)
            break
        except Interrupted:
            stop = StopFlag()
    assert whole["status"] == "completed"
    assert record(tmp_path / "parts") == record(tmp_path / "whole")


@pytest.mark.parametrize("options", [ADAM, (*MLP, "optimizer.clip_norm=0.1")])
def test_replayed_steps_are_the_plain_ones(options, tmp_path):
    """1,000 steps and more are replayed."""
    long = (*options, "batch_size=1", "epochs=8")
    results = [
        tiny_run(tmp_path / capture, *long, f"capture={capture}", "evaluation.every=1")
        for capture in ("true", "false")
    ]
    assert results[0]["error"] == results[1]["error"]
    assert results[0]["train_error"] == results[1]["train_error"]


def test_a_clipped_gradient_has_the_norm_asked_for():
    config = tiny_config(*MLP, "optimizer.clip_norm=0.01", "optimizer.momentum=0", "optimizer.weight_decay=0")
    session = Session.prepare(config, load_data(config.data), torch.device("cpu"))
    before = torch.cat([p.detach().clone().flatten() for p in session.trainer.model.parameters()])
    x, y = next(session.trainer.feed.train_batches(session.table(0), [slice(0, 16)]))
    session.trainer.plain(x, y, 0)
    after = torch.cat([p.detach().flatten() for p in session.trainer.model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01 * session.trainer.plain.lr(0), rel=1e-3)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimizer.beta2=0.9", r"optimizer\.beta2=0\.9: is adam's"),
        ("optimizer.clip_norm=0", r"optimizer\.clip_norm=0: must be above 0"),
        ("optimizer.name=adam", r"optimizer\.beta2=null: is adam's"),
    ],
)
def test_options_of_another_optimizer_are_refused(override, says):
    with pytest.raises(UsageError, match=says):
        compose_config([override])


def test_parity_asks_whether_the_digit_is_odd(tmp_path):
    classes = load_data(compose_config([]).data)
    parity = load_data(compose_config(["data.task=parity"]).data)
    assert parity.classes == ("even", "odd")
    assert torch.equal(parity.test.labels, classes.test.labels % 2)
    assert torch.equal(parity.test.images, classes.test.images)
    result = tiny_run(tmp_path, *MLP, "data.task=parity", "epochs=20")
    assert result["error"]["running"] < 45  # a guess is 50 % wrong
