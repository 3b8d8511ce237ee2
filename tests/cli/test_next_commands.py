"""What a sweep ends with would be pasted, and show nothing."""

import shlex

from tiny_runs import call

from bnrepro.cli.outcome import next_commands


def test_what_comes_next_can_be_pasted(tmp_path):
    out = tmp_path / "a sweep"
    options = ("--norms", "gn", "--batch-sizes", "16", "--out", str(out), "data.train_subset=64", "epochs=1")
    ended = call("sweep", "batch-size", *options)
    assert ended.code == 0, ended.err
    board, *others = next_commands(out, tensorboard=True)
    assert ended.out.rstrip().splitlines()[-len(others) - 1 :] == [board, *others]
    assert list(out.joinpath("tensorboard", "gn-b16-s0").iterdir())
    assert shlex.split(board)[-1] == str(out / "tensorboard")
    assert next_commands(out, tensorboard=False) == others
