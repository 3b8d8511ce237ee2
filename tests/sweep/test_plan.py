"""A user would train another grid than the one on the figure's axes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash
from bnrepro.norms import NORMS, traits_of
from bnrepro.sweep.configs import axis_options, compose_base
from bnrepro.sweep.cost import longest_first, relative_cost
from bnrepro.sweep.plan import Axes, Plan, plan_sweep, sweep_json

pytestmark = pytest.mark.usefixtures("composed_once")

IMAGES = 1437
SIZES = st.lists(st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128]), min_size=1, max_size=4, unique=True)
NORM_NAMES = st.lists(st.sampled_from(["bn", "gn", "none", "bn_frozen"]), min_size=1, max_size=3, unique=True)
SEEDS = st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True)


def plan(*overrides: str, images: int = IMAGES, norms=None, sizes=None, seeds=None, config_dir=None) -> Plan:
    return plan_sweep(overrides, Axes(norms, sizes, seeds), images, config_dir)


def test_the_axes_are_the_experiments_unless_given():
    default = plan("experiment=digits")
    assert default.norms == ("bn", "gn", "none")
    assert default.axis.values == (1, 2, 4, 8, 16, 32, 64)
    assert len(default.cells) == 7 * 5 + 5 + 5  # bn; gn and none see no batch: once per seed
    given = plan("experiment=digits", "protocol=coupled", norms=("gn",), sizes=(8, 2), seeds=(0, 5))
    assert [cell.id for cell in given.cells] == ["gn-b8-s0", "gn-b8-s5", "gn-b2-s0", "gn-b2-s5"]


@settings(deadline=None, max_examples=25)
@given(
    norms=NORM_NAMES, sizes=SIZES, seeds=SEEDS, protocol=st.sampled_from(["coupled", "workers", "fixed_sgd"])
)
def test_every_planned_cell_is_one_of_the_grid_and_none_is_missing(norms, sizes, seeds, protocol):
    planned = plan(
        f"protocol={protocol}", "epochs=3", norms=tuple(norms), sizes=tuple(sizes), seeds=tuple(seeds)
    )
    ids = [cell.id for cell in planned.cells]
    assert len(ids) == len(set(ids))
    for norm in norms:
        shared = protocol == "fixed_sgd" and not traits_of(NORMS[norm]).batch_statistics
        expected = {(256 if shared else size, seed) for size in sizes for seed in seeds}
        cells = [cell for cell in planned.cells if cell.config.norm.name == norm]
        assert {(cell.config.batch_size, cell.config.seed) for cell in cells} == expected
        assert all(cell.shared == shared for cell in cells)
    for cell in planned.cells:
        assert cell.sizes.sgd_batch_size == cell.sizes.workers * cell.sizes.norm_batch_size
        assert cell.steps == 3 * (IMAGES // cell.sizes.sgd_batch_size)
        assert cell.images == cell.steps * cell.sizes.sgd_batch_size <= 3 * IMAGES
    assert len({config_hash(cell.config) for cell in planned.cells}) == len(ids)
    costs = [relative_cost(cell) for (cell,) in longest_first([cell] for cell in planned.cells)]
    assert costs == sorted(costs, reverse=True)


def test_the_smallest_batches_of_batch_norm_go_first():
    """They take ten times as long as the others."""
    ids = [cell.id for (cell,) in longest_first([cell] for cell in plan().cells)]
    assert ids[0] == "bn-b1-s0"
    assert set(ids[:3]) == {"bn-b1-s0", "gn-b1-s0", "none-b1-s0"}


def test_fixed_sgd_trains_a_norm_that_sees_no_batch_once_per_seed():
    planned = plan("protocol=fixed_sgd", norms=("bn", "gn"), sizes=(1, 256), seeds=(0, 1))
    assert [cell.id for cell in planned.cells if cell.shared] == ["gn-b256-s0", "gn-b256-s1"]
    assert len([cell for cell in planned.cells if cell.config.norm.name == "bn"]) == 4
    saved = {cell["id"]: cell for cell in sweep_json(planned)["cells"]}
    assert saved["gn-b256-s0"]["shared"] is True
    assert saved["gn-b256-s0"]["norm_batch_size"] is None
    assert saved["bn-b1-s0"]["workers"] == 256


def test_all_sizes_that_cannot_be_are_named():
    with pytest.raises(UsageError) as refused:
        plan("protocol=fixed_sgd", norms=("bn", "brn"), sizes=(3, 8, 512, 100))
    line = str(refused.value)
    for norm in ("bn", "brn"):
        for size in (3, 512, 100):
            assert f"{norm}-b{size}" in line
        assert f"{norm}-b8" not in line
    assert "\n" not in line


def test_cells_that_would_not_be_are_not_named():
    """A norm that sees no batch is trained once, at the SGD batch: 3 is nothing to it."""
    with pytest.raises(UsageError, match=r"cannot be: bn-b3 \("):
        plan("protocol=fixed_sgd", norms=("bn", "gn"), sizes=(3, 8))
    with pytest.raises(UsageError, match=r"cannot be: bn-b8, gn-b256 \("):
        plan("protocol=fixed_sgd", norms=("bn", "gn"), sizes=(8,), images=128)
    assert [cell.id for cell in plan("protocol=fixed_sgd", norms=("gn",), sizes=(3,), seeds=(0,)).cells] == [
        "gn-b256-s0"
    ]


def test_a_norm_over_all_workers_has_the_sgd_batch_as_its_normalization_batch():
    """What sweep.json, --dry-run and a failed cell's row say of it."""
    planned = plan("protocol=workers", norms=("bn", "bn_sync"), sizes=(4,), seeds=(0,))
    assert [cell["norm_batch_size"] for cell in sweep_json(planned)["cells"]] == [4, 32]
    assert [cell.sizes.norm_batch_size for cell in planned.cells] == [4, 32]


def test_sgd_batches_above_the_training_set_are_named():
    with pytest.raises(UsageError, match=r"bn-b256.*2048 \(8 × 256\) is more than the 1437 training images"):
        plan("protocol=workers", norms=("bn",), sizes=(1, 128, 256))


def test_what_an_epoch_drops_is_said():
    assert plan(norms=("bn",), sizes=(1, 2, 256)).dropped_images() == {(1437, 2): 1, (1437, 256): 157}
    assert plan(norms=("bn",), images=10240).dropped_images() == {}


@pytest.mark.parametrize("override", ["norm=gn", "batch_size=4", "seed=1", "sweep.seeds=[1]", "+seed=2"])
def test_an_axis_as_an_override_is_refused_with_its_option(override):
    with pytest.raises(UsageError) as refused:
        compose_base([override], None)
    assert axis_options()[override.lstrip("+").split("=")[0]] in str(refused.value)


def test_a_norms_option_applies_to_the_norms_that_have_it():
    planned = plan("norm.momentum=0.2", norms=("bn", "gn", "none"), sizes=(4,))
    options = {cell.config.norm.name: cell.config.norm.options for cell in planned.cells}
    assert options["bn"]["momentum"] == 0.2
    assert "momentum" not in options["gn"]
    assert options["none"] == {"skip_init": True}


def test_a_norms_option_that_none_has_is_refused():
    with pytest.raises(UsageError, match=r"norm\.groups: no such key; .*\(norms bn, none\)"):
        plan("norm.groups=4", norms=("bn", "none"))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"norms": ("bn", "foo")}, "--norms bn,foo: no norm foo; choices: bn"),
        ({"norms": ("bn", "bn")}, "--norms bn,bn: bn twice"),
        ({"norms": ("bn", "../norm/bn")}, "no norm ../norm/bn; choices"),
        ({"norms": ()}, "--norms"),
        ({"sizes": ()}, "--batch-sizes"),
        ({"seeds": ()}, "--seeds"),
        ({"sizes": (4, 4)}, "--batch-sizes 4,4: 4 twice"),
        ({"sizes": (0,)}, "--batch-sizes 0: must be 1 or more"),
        ({"seeds": (-1,)}, "--seeds -1: must be 0 or more"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused(axes, words):
    with pytest.raises(UsageError) as refused:
        plan(**axes)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_norm_of_the_users_own_stands_in_the_plan(tmp_path, monkeypatch):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text("name: mine\nfactory: norms_of_the_plan:make\nscale: 1.0\n")
    (tmp_path / "norms_of_the_plan.py").write_text("def make(num_channels, *, scale): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    planned = plan("norm.scale=2.0", norms=("bn", "mine"), sizes=(4,), config_dir=tmp_path)
    assert planned.cells[1].id == "mine-b4-s0"
    assert planned.cells[1].config.norm.options == {"scale": 2.0}


def test_a_norm_under_a_second_name_is_refused(tmp_path):
    """One run would be counted as two seeds, or never be trained: both would be the cell bn-b4-s0."""
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mybn.yaml").write_text("name: bn\neps: 0.1\nmomentum: 0.1\n")
    with pytest.raises(UsageError, match="norm=mybn: its name is bn"):
        plan(norms=("bn", "mybn"), sizes=(4,), config_dir=tmp_path)
    with pytest.raises(UsageError, match="norm=mybn: its name is bn"):
        compose_config(["norm=mybn"], tmp_path)
