"""A user's sweep over a key of the config would train another grid than the one that was asked for."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnrepro.config.compose import compose_config
from bnrepro.config.convert import to_dict
from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.identity import cannot_change_a_number, config_hash, flatten
from bnrepro.sweep.axis import cell_name, cell_x, make_axis, number_text, read_axis, usual_scale
from bnrepro.sweep.cost import longest_first, relative_cost
from bnrepro.sweep.directory import default_directory, read_sweep, write_sweep
from bnrepro.sweep.plan import Axes, Plan, plan_sweep, sweep_json
from bnrepro.sweep.prepare import prepare_sweep

pytestmark = pytest.mark.usefixtures("composed_once")

OLD = Path(__file__).parent / "data" / "sweep_schema_1.json"
"""What commit 2582b2c wrote for `old_plan()`."""
IMAGES = 1437


def over(key, *values, overrides=(), norms=("bn", "gn"), seeds=(0, 1), images=IMAGES, scale=None) -> Plan:
    return plan_sweep(overrides, Axes(norms, values, seeds, key, scale), images)


def old_plan() -> Plan:
    overrides = ["experiment=digits", "protocol=fixed_sgd", "norm.momentum=0.2", "epochs=3"]
    # what the experiment was then
    overrides += ["model.first_stride=1", "data.test_images=360", "optimizer.base_lr=0.8"]
    return plan_sweep(
        [*overrides, "sweep.reference=wu_he_2018"], Axes(("bn", "gn"), (4, 256), (0, 1)), IMAGES
    )


def test_a_sweep_over_batch_sizes_is_written_as_ever():
    """Byte for byte, apart from keys that came since, and what cannot change a number."""
    old, new = json.loads(OLD.read_text()), sweep_json(old_plan())
    known = flatten(old["base"])

    def without_newer(values, prefix=""):
        kept = {}
        for key, value in values.items():
            if isinstance(value, dict) and any(k.startswith(f"{prefix}{key}.") for k in known):
                kept[key] = without_newer(value, f"{prefix}{key}.")
            elif f"{prefix}{key}" in known or value == {}:
                changes = not cannot_change_a_number(f"{prefix}{key}")
                kept[key] = value if changes else known.get(f"{prefix}{key}", value)
        return kept

    new["base"] = without_newer(new["base"])
    # the experiment is another one by now, and the plan is given what it was
    new["overrides"] = old["overrides"]
    assert json.dumps(new, indent=2, ensure_ascii=False) + "\n" == OLD.read_text()


def test_an_old_directory_is_continued(tmp_path):
    (tmp_path / "sweep.json").write_text(OLD.read_text())
    write_sweep(tmp_path, sweep_json(old_plan()))
    sweep = read_sweep(tmp_path)
    assert sweep["cells"] == json.loads(OLD.read_text())["cells"]
    assert read_axis(sweep) == make_axis("batch_size", (4, 256))
    assert [cell_x(cell) for cell in sweep["cells"]] == [4, 4, 256, 256, 256, 256]


@pytest.mark.parametrize(
    ("key", "values", "ids"),
    [
        ("optimizer.base_lr", (0.1, 1), ["bn-base_lr0.1-s0", "bn-base_lr1-s0"]),
        ("epochs", (2, 3), ["bn-epochs2-s0", "bn-epochs3-s0"]),
        ("norm.momentum", (1e-5, 0.5), ["bn-momentum1e-05-s0", "bn-momentum0.5-s0"]),
        ("data.train_subset", (100, 200), ["bn-train_subset100-s0", "bn-train_subset200-s0"]),
        ("batch_size", (4, 8), ["bn-b4-s0", "bn-b8-s0"]),
    ],
)
def test_a_cell_is_the_run_of_the_override(key, values, ids):
    planned = over(key, *values, norms=("bn",), seeds=(0,))
    assert [cell.id for cell in planned.cells] == ids
    for cell, value in zip(planned.cells, values, strict=True):
        assert cell.x == value
        assert cell.config == compose_config([f"{key}={value}"])
        assert config_hash(cell.config) == config_hash(compose_config([f"{key}={value}"]))


def test_a_whole_number_is_the_same_value_however_it_is_written():
    one = over("optimizer.base_lr", 1, norms=("bn",), seeds=(0,))
    assert sweep_json(one) == sweep_json(over("optimizer.base_lr", 1.0, norms=("bn",), seeds=(0,)))
    (cell,) = one.cells
    assert isinstance(cell.x, float)


def test_steps_and_sizes_follow_the_value():
    planned = over("epochs", 2, 5, norms=("bn",), seeds=(0,))
    assert [cell.steps for cell in planned.cells] == [2 * 44, 5 * 44]
    planned = over("protocol.workers", 2, 4, overrides=["protocol=workers"], norms=("bn",), seeds=(0,))
    assert [cell.sizes.sgd_batch_size for cell in planned.cells] == [64, 128]
    planned = over("data.train_subset", 64, 320, norms=("bn",), images=lambda data: data.train_subset or 0)
    assert [cell.train_images for cell in planned.cells] == [64, 64, 320, 320]
    assert [cell.steps for cell in planned.cells] == [20, 20, 100, 100]
    assert planned.dropped_images() == {}


def test_sharing_cells_and_stacking_them_across_the_axis_are_the_batch_sizes_alone():
    planned = over("optimizer.base_lr", 0.1, 0.2, overrides=["protocol=fixed_sgd"])
    assert len(planned.cells) == 8
    assert not any(cell.shared or cell.mixes for cell in planned.cells)
    assert {cell.shape for cell in planned.cells} == {
        *("bn-base_lr0.1", "bn-base_lr0.2", "gn-base_lr0.1", "gn-base_lr0.2")
    }
    assert sweep_json(over("epochs", 2, overrides=["sweep.reference=wu_he_2018"]))["reference"] is None


def test_sweep_json_says_the_axis_and_every_cells_place(tmp_path):
    plan = over("optimizer.base_lr", 0.1, 0.4, overrides=["epochs=2"])
    write_sweep(tmp_path, sweep_json(plan))
    sweep = read_sweep(tmp_path)
    assert sweep["schema"] == 2
    assert "batch_sizes" not in sweep
    assert "base_lr" not in sweep["base"]["optimizer"]
    assert sweep["base"]["batch_size"] == 32
    assert read_axis(sweep) == plan.axis
    assert [cell_x(cell) for cell in sweep["cells"]] == [0.1, 0.1, 0.4, 0.4] * 2
    assert {cell["batch_size"] for cell in sweep["cells"]} == {32}


def test_the_key_of_the_axis_is_nowhere_but_in_its_cells():
    """Else the same directory could not take further values."""
    assert sweep_json(over("norm.eps", 0.25))["norm_options"] == {
        "bn": {"momentum": 0.1},
        "gn": {"groups": "auto"},
    }
    optimizer = sweep_json(over("optimizer.momentum", 0.25))["base"]["optimizer"]
    assert "momentum" not in optimizer
    assert "base_lr" in optimizer


def test_a_cell_without_its_place_on_the_axis_is_damage(tmp_path):
    """It would be drawn at its batch size."""
    write_sweep(tmp_path, sweep_json(over("epochs", 2)))
    sweep = read_sweep(tmp_path)
    del sweep["cells"][1]["x"]
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    with pytest.raises(Damaged, match=r"sweep\.json: cells\[1\]\.x is missing"):
        read_sweep(tmp_path)


def test_values_may_grow_and_another_axis_is_refused(tmp_path):
    write_sweep(tmp_path, sweep_json(over("optimizer.base_lr", 0.4, 0.8)))
    write_sweep(tmp_path, sweep_json(over("optimizer.base_lr", 0.1, 0.8, norms=("none",))))
    sweep = read_sweep(tmp_path)
    assert read_axis(sweep).values == (0.1, 0.4, 0.8)
    assert sweep["norms"] == ["bn", "gn", "none"]
    assert len(sweep["cells"]) == 12
    for other in (over("epochs", 2), over("batch_size", 4)):
        with pytest.raises(UsageError, match=r"holds a sweep over optimizer\.base_lr, not over") as refused:
            write_sweep(tmp_path, sweep_json(other))
        assert "\n" not in str(refused.value)


def test_every_axis_has_a_default_directory_of_its_own():
    config = compose_config(["experiment=digits"])
    names = [default_directory(config, make_axis(key, (1,))).name for key in ("batch_size", "epochs")]
    assert names == ["digits-fixed_sgd", "digits-fixed_sgd-epochs"]


@pytest.mark.parametrize(
    ("key", "values", "overrides", "says"),
    [
        ("optimizer.base_lrr", (1,), (), r"optimizer\.base_lrr: no such key; did you mean base_lr"),
        ("model.depth", (1,), (), r"model\.depth: no such key"),
        ("norm.groups", (4,), (), r"norm\.groups: bn has no such option; give --norms gn"),
        ("norm.foo", (4,), (), r"norm\.foo: no such key"),
        ("optimizer", (4,), (), r"optimizer"),
        ("optimizer.base_lr.x", (4,), (), r"optimizer\.base_lr"),
        ("model.zero_init_last", (1,), (), r"model\.zero_init_last: is not a number"),
        ("optimizer.nesterov", (1,), (), r"optimizer\.nesterov: is not a number"),
        ("optimizer.name", (1,), (), r"optimizer\.name: is not a number"),
        ("schedule.milestones", (1,), (), r"schedule\.milestones: is not a number"),
        ("norm", (1,), (), r"norm: is not a number"),
        ("model.shortcut", (1,), (), r"model\.shortcut: is not a number"),
        ("seed", (1, 2), (), r"seed: every sweep has seeds; give them with --seeds"),
        ("checkpoint.every_minutes", (1, 2), (), r"checkpoint\.every_minutes: cannot change a number"),
        ("launcher.jobs", (1, 2), (), r"launcher\.jobs: cannot change a number"),
        ("threads", (1, 2), (), r"threads: changes an error by rounding or not at all"),
        ("protocol.workers", (1, 2), (), r"protocol\.workers: does nothing here; it needs protocol=workers"),
        ("schedule.gamma", (0.1,), (), r"schedule\.gamma: does nothing here; it needs schedule=step"),
        ("optimizer.base_lr", (0.1, -0.2), (), r"optimizer\.base_lr=-0\.2: must be above 0"),
        ("norm.eps", (0.1, -1), (), r"norm\.eps=-1"),
        ("epochs", (1.5,), (), r"epochs=1\.5: must be a whole number"),
        ("epochs", (2, 2), (), r"--values 2,2: 2 twice"),
        ("epochs", (), (), r"--values: must name at least one"),
        ("epochs", (2,), ("epochs=3",), r"epochs=3: is an axis of the sweep; give it with --values"),
        ("protocol.sgd_batch_size", (16, 48), ("protocol=fixed_sgd",), r"cannot be: bn-sgd_batch_size16, "),
    ],
)
def test_a_key_or_value_that_makes_no_sense_is_refused_in_a_line(key, values, overrides, says):
    with pytest.raises(UsageError, match=says) as refused:
        over(key, *values, overrides=overrides)
    assert "\n" not in str(refused.value)


def test_a_key_that_others_are_computed_from_is_refused(tmp_path):
    """A cell would not be the run of the same override: a wrong number without a word."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nexperiment: mine\nschedule:\n  warmup_epochs: ${optimizer.momentum}\n"
    )
    axes = Axes(("bn",), (0.25, 0.5), (0,), "optimizer.momentum")
    with pytest.raises(UsageError, match=r"optimizer\.momentum: other keys depend on it \(schedule\.warmup"):
        plan_sweep(["experiment=mine"], axes, IMAGES, tmp_path)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0.1, 0.2, 0.4, 0.8), "log2"),
        ((1, 2, 4, 8, 256), "log2"),
        ((0.001, 0.01, 0.1), "log10"),
        ((1, 3, 9), "log10"),
        ((1, 2, 4), "linear"),
        ((0, 1, 100), "linear"),
    ],
)
def test_the_usual_scale(values, scale):
    assert usual_scale(values) == make_axis("epochs", values).scale == scale


def test_a_scale_that_cannot_be_is_refused():
    for scale, says in (("log", "choices: log2, log10, linear"), ("log10", "cannot show 0; choose linear")):
        with pytest.raises(UsageError, match=says):
            make_axis("optimizer.weight_decay", (0, 0.1), scale)
    with pytest.raises(UsageError, match="batch_size is drawn in log2"):
        make_axis("batch_size", (1, 2), "linear")


@settings(max_examples=200)
@given(x=st.floats(allow_nan=False, allow_infinity=False), y=st.floats(allow_nan=False, allow_infinity=False))
def test_two_values_never_share_a_directory(x, y):
    assert float(number_text(x)) == x
    assert (cell_name("bn", "eps", x, 0) == cell_name("bn", "eps", y, 0)) == (x == y)


def test_the_networks_that_cost_more_go_first():
    """The order of cells, the time left and the packing of Slurm's tasks follow the operations."""
    plan, dataset = prepare_sweep(["model=mlp"], Axes(("bn",), (50, 200), (0, 1), "model.width"))
    light, heavy = (cell for cell in plan.cells if cell.config.seed == 0)
    assert light.weight == 1
    # 8 × 8 pixels, two more hidden layers, ten classes; the gradient by the pixels is not computed
    operations = [3 * (2 * width**2 + 10 * width) + 2 * 64 * width for width in (50, 200)]
    assert heavy.weight == pytest.approx(operations[1] / operations[0])
    assert relative_cost(heavy) == pytest.approx(heavy.weight * relative_cost(light))
    assert [cells[0].x for cells in longest_first([cell] for cell in plan.cells)] == [200, 200, 50, 50]
    assert len(dataset.train.labels) == 1437


def test_the_other_axes_change_no_network():
    plan, _ = prepare_sweep([], Axes(("bn",), (100, 200), (0,), "data.train_subset"))
    assert [cell.train_images for cell in plan.cells] == [100, 200]
    assert [cell.weight for cell in plan.cells] == [1.0, 1.0]


def test_a_value_that_the_network_refuses_is_refused_in_the_plan():
    with pytest.raises(UsageError, match=r"model\.steps"):
        prepare_sweep(["model=lstm"], Axes(("bn",), (8, 7), (0,), "model.steps"))


def test_put_leaves_everything_else_alone():
    config = compose_config([])
    changed = make_axis("optimizer.weight_decay", (0.5,)).put(config, 0.5)
    before, after = flatten(to_dict(config)), flatten(to_dict(changed))
    assert {key for key in before if before[key] != after[key]} == {"optimizer.weight_decay"}
