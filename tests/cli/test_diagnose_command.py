"""A user would be told of the wrong layers, or by a traceback."""

import csv

import pytest
import torch
from tiny_runs import TINY, call

from bnrepro.models import build_model


def test_it_names_the_layers_that_small_batches_hurt(tmp_path):
    """With a first stride of 2 the last stage has 1×1 pixels: a batch of one cannot train there."""
    ended = call("diagnose", *TINY, "model.first_stride=2", "--out", str(tmp_path))
    assert ended.code == 0, ended.err
    rows = {
        row["layer"]: row for row in csv.DictReader((tmp_path / "diagnosis.csv").read_text().splitlines())
    }
    assert list(rows) == ["norm", *(f"blocks.{i}.norm{j}" for i in range(3) for j in (1, 2))]
    assert rows["blocks.2.norm2"]["noise_var_1"] == "inf"
    assert float(rows["norm"]["noise_var_1"]) < 1
    assert rows["blocks.2.norm2"]["pixels"] == "1"
    assert (tmp_path / "diagnosis.png").stat().st_size > 1000
    assert "σ²=0" in ended.out
    assert "mean off" not in ended.out


def test_weights_of_a_checkpoint_or_a_state_dict(tmp_path):
    model = build_model("resnet8", in_channels=1)
    model.norm.running_var.fill_(100)
    for name, state in (("plain", model.state_dict()), ("run", {"model": model.state_dict()})):
        torch.save(state, tmp_path / name)
        ended = call("diagnose", *TINY, "--checkpoint", str(tmp_path / name), "--out", str(tmp_path / "out"))
        assert ended.code == 0, ended.err
        rows = list(csv.DictReader((tmp_path / "out" / "diagnosis.csv").read_text().splitlines()))
        assert float(rows[0]["distance_var"]) > 10
        assert "mean off" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("norm=gn",), "norm=gn: CifarResNet: has no batch norm; norm=bn has one"),
        (("--images", "0"), "--images 0: must be 1 or more"),
        (("--bound", "0"), "--bound 0: must be above 0"),
        (("--checkpoint", "nothing.pt"), "--checkpoint nothing.pt: no such file"),
        (("--checkpoint", __file__), "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(arguments, message):
    ended = call("diagnose", *TINY, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
