"""A reader would see one layer's numbers as another's, or at another step."""

import json
from pathlib import Path

import pytest
from tiny_runs import call

from bnrepro.analysis.probe_figure import ROWS, draw_probe, write_probes
from bnrepro.analysis.probes import find_runs, read_table
from bnrepro.config.errors import Damaged, UsageError

STEPS = (0, 1, 10, 300)


def probed(path: Path, scale: float = 1.0) -> Path:
    """A run's directory with what two layers measured."""
    path.mkdir(parents=True)
    lines = [
        {
            "step": step,
            "probe_loss": 2.3,
            "gradients": {
                "conv": {"weight": scale * (step + 1), "output": None},
                "head": {"weight": 0.0, "output": 2.0},
            },
            "correlation": {
                place: {"norm": {"mean": 0.5, "largest": 0.75, "images": step / 1000}}
                for place in ("before", "after")
            },
        }
        for step in STEPS
    ]
    (path / "probes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_table_has_every_value_with_its_run_layer_and_step(tmp_path):
    runs = {"a": probed(tmp_path / "a"), "b": probed(tmp_path / "b", 2)}
    table = read_table(runs)
    assert len(table) == 2 * len(STEPS) * (4 + 6)
    weight = table[(table["quantity"] == "weight") & (table["layer"] == "conv")]
    assert list(weight["value"]) == [1, 2, 11, 301, 2, 4, 22, 602]
    assert list(weight["step"]) == [*STEPS, *STEPS]
    assert set(table.loc[table["probe"] == "correlation", "place"]) == {"before", "after"}
    assert table.loc[(table["layer"] == "conv") & (table["quantity"] == "output"), "value"].isna().all()


def test_a_line_is_a_layer_and_a_column_is_a_run(tmp_path):
    table = read_table({"a": probed(tmp_path / "a"), "b": probed(tmp_path / "b", 2)})
    figure = draw_probe("gradients", table[table["probe"] == "gradients"])
    panels = figure.axes
    assert len(panels) == 2 * len(ROWS["gradients"])
    assert [axes.get_title() for axes in panels[:2]] == ["a", "b"]
    for axes, scale in zip(panels[:2], (1, 2), strict=True):
        conv, head = (line for line in axes.get_lines() if len(line.get_xdata()))
        assert list(conv.get_xdata()) == list(STEPS)
        assert list(conv.get_ydata()) == [scale * (step + 1) for step in STEPS]
        assert conv.get_color() != head.get_color()
    legend = panels[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["conv", "head"]


def test_all_of_a_probe_that_the_package_does_not_know_is_drawn(tmp_path):
    table = read_table({"a": probed(tmp_path / "a")})
    mine = table[table["probe"] == "correlation"].assign(probe="mine")
    figure = draw_probe("mine", mine)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        f"{place} {name}" for place in ("before", "after") for name in ("mean", "largest", "images")
    ]


def test_figures_and_table_are_written(tmp_path):
    ended = call("plot", str(probed(tmp_path / "a")), "--probes", "--format", "png,svg")
    assert ended.code == 0, ended.err
    names = {
        "probes.csv",
        *(f"probes_{name}.{kind}" for name in ("gradients", "correlation") for kind in ("png", "svg")),
    }
    assert {Path(line).name for line in ended.out.splitlines()} == names
    assert all((tmp_path / "a" / name).stat().st_size > 0 for name in names)


def test_the_cells_of_a_sweep_are_found_and_too_many_are_named(sweep):
    path = sweep(norms=("bn",), batch_sizes=tuple(2**power for power in range(7)))
    with pytest.raises(UsageError, match=r"has no probes\.jsonl; train with probes=\["):
        find_runs([path])
    cells = [path / "cells" / f"bn-b{2**power}-s0" for power in range(7)]
    for cell in cells[:6]:
        line = {"step": 0, "probe_loss": None, "mine": {"conv": {"x": 1}}}
        (cell / "probes.jsonl").write_text(json.dumps(line) + "\n")
    assert list(find_runs([path])) == [cell.name for cell in cells[:6]]
    (cells[6] / "probes.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"7 runs have probes, a figure has room for 6; give some"):
        find_runs([path])


def test_a_damaged_file_is_named_with_its_line(tmp_path):
    path = probed(tmp_path / "a")
    text = (path / "probes.jsonl").read_text()
    (path / "probes.jsonl").write_text(text.replace('"step": 10', '"step": -10'))
    with pytest.raises(Damaged, match=r"probes\.jsonl: line 3: step must be a whole number"):
        write_probes([path], tmp_path / "out", ("png",))
