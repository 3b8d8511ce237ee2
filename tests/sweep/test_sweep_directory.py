"""A user would mix results of different configs in one directory."""

import pytest

from bnrepro.config.errors import UsageError
from bnrepro.rundir.lock import exclusive
from bnrepro.sweep.directory import read_sweep, write_sweep
from bnrepro.sweep.plan import Axes, plan_sweep, sweep_json


def sweep(*overrides: str, norms=("bn",), sizes=(4,), seeds=(0,)):
    return sweep_json(plan_sweep(overrides, Axes(norms, sizes, seeds), 1437))


def ids(directory) -> list[str]:
    return [cell["id"] for cell in read_sweep(directory)["cells"]]


def test_axes_may_grow_and_what_is_there_stays(tmp_path):
    write_sweep(tmp_path, sweep())
    write_sweep(tmp_path, sweep(norms=("gn",), sizes=(8, 2), seeds=(1,)))
    saved = read_sweep(tmp_path)
    assert set(ids(tmp_path)) == {"bn-b4-s0", "gn-b8-s1", "gn-b2-s1"}
    assert saved["norms"] == ["bn", "gn"]
    assert saved["batch_sizes"] == [2, 4, 8]
    assert saved["seeds"] == [0, 1]


def test_a_changed_config_is_refused_with_the_keys(tmp_path):
    write_sweep(tmp_path, sweep())
    before = read_sweep(tmp_path)
    with pytest.raises(UsageError, match=r"epochs: 10 -> 3; optimizer\.momentum: 0\.9 -> 0\.5") as refused:
        write_sweep(tmp_path, sweep("epochs=3", "optimizer.momentum=0.5"))
    assert "\n" not in str(refused.value)
    assert read_sweep(tmp_path) == before


def test_a_changed_option_of_a_norm_is_refused(tmp_path):
    write_sweep(tmp_path, sweep())
    with pytest.raises(UsageError, match=r"momentum: 0\.1 -> 0\.5"):
        write_sweep(tmp_path, sweep("norm.momentum=0.5"))


def test_a_norms_option_that_came_later_is_no_change(tmp_path):
    """Else a sweep could not go on after an update that only adds an option."""
    named = sweep()
    assert named["norm_options"]["bn"].keys() == {"eps", "momentum"}
    named["norm_options"]["bn"] |= {"affine": "weight_and_bias", "initial_weight": 1.0}
    write_sweep(tmp_path, named)
    write_sweep(tmp_path, sweep(seeds=(1,)))
    assert ids(tmp_path) == ["bn-b4-s1", "bn-b4-s0"]
    with pytest.raises(UsageError, match=r"norm\.bn\.initial_weight: (None|1\.0) -> 0\.5"):
        write_sweep(tmp_path, sweep("norm.initial_weight=0.5", seeds=(0, 1)))


def test_what_cannot_change_a_number_is_accepted(tmp_path):
    write_sweep(tmp_path, sweep())
    write_sweep(tmp_path, sweep("tensorboard=false", "launcher.jobs=3", "data.cache_dir=/elsewhere"))
    assert ids(tmp_path) == ["bn-b4-s0"]


def test_no_sweep_and_a_broken_one_are_said_in_a_line(tmp_path):
    with pytest.raises(UsageError, match=r"is not a sweep directory \(no sweep\.json\)"):
        read_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text('{"schema": 1,')
    with pytest.raises(UsageError, match=r"sweep\.json: is not JSON"):
        read_sweep(tmp_path)


def test_one_process_at_a_time(tmp_path):
    def hold():
        with exclusive(tmp_path, "a sweep"):
            return True

    with exclusive(tmp_path, "a sweep"), pytest.raises(UsageError, match="a sweep is under way there"):
        hold()
    assert hold()


def test_a_directory_that_cannot_be_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="cannot be written"),
        exclusive(tmp_path / "file" / "sweep", "a sweep"),
    ):
        pass
