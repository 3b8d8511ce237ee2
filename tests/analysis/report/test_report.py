"""`bnrepro report` would leave something out, contradict the tables, or run what a user typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import call
from written_runs import write_completed, write_plan

from bnrepro.analysis.results import load_results
from bnrepro.config.compose import compose_config
from bnrepro.config.identity import config_hash

Sweep = Callable[..., Path]
SMALL: dict[str, Any] = {"norms": ("bn", "gn"), "batch_sizes": (2, 32), "seeds": (0, 1, 2)}
NASTY = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a reader sees, the scripts apart, and the data of the charts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.visible: list[str] = []
        self.scripts: list[str] = []
        self.places: list[str] = []
        self.addresses: list[str] = []
        self.feed(self.html)
        self.data = json.loads(self.scripts[-2])

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.visible).split())

    def traces(self, chart: str) -> list[dict[str, Any]]:
        return self.data["charts"][chart]["data"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input", "img", "link"):
            self.places.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action")]

    def handle_endtag(self, tag: str) -> None:
        assert self.places.pop() == tag

    def handle_data(self, data: str) -> None:
        place = self.places[-1] if self.places else ""
        if place == "script":
            self.scripts.append(data)
        elif place != "style":
            self.visible.append(data)


def page(*directories: Path, code: int = 0) -> Page:
    out = directories[0].parent / "page" / "report.html"
    ended = call("report", *map(str, directories), "--out", str(out))
    assert (ended.code, ended.err) == (code, "")
    assert ended.out.splitlines()[-1] == str(out)
    return Page(out)


def test_it_goes_into_the_directory_unless_told_otherwise(sweep: Sweep) -> None:
    path = sweep(**SMALL)
    ended = call("report", str(path))
    assert (ended.code, ended.out) == (0, f"{path / 'report.html'}\n")
    assert (path / "report.html").is_file()


def test_the_answer_is_that_of_the_effects(sweep: Sweep) -> None:
    """A reader takes these two sentences away."""
    text = page(sweep(**SMALL)).text
    assert "Do small batches hurt batch norm, and not the others?" in text
    mean = load_results([sweep(**SMALL)]).summary.set_index(["norm", "batch_size", "statistics"])["mean"]
    rise = f"from {mean['bn', 32, 'running']:.1f} % at 32 to {mean['bn', 2, 'running']:.1f} % at 2"
    assert f"Batch norm: the error rises {rise}" in text
    assert "Group norm (8 groups): nowhere significantly worse" in text


def test_every_part_is_there(sweep: Sweep) -> None:
    states = {"bn-b2-s0": "failed", "gn-b2-s1": "diverged", "gn-b32-s2": "missing"}
    path = sweep(**SMALL, states=states)
    (path / "cells" / "bn-b2-s0" / "error.txt").write_text("Traceback …\n  in <module>\nValueError: x\n")
    environment = {
        "commit": "abc123",
        "dirty": True,
        "versions": {"torch": "9.9"},
        "command": "bnrepro sweep x",
    }
    for cell in path.glob("cells/*"):
        (cell / "env.json").write_text(json.dumps(environment))
    text = page(path).text
    for part in (
        *("11 of 12 runs have a result", "1 without a result yet gn-b32-s2"),
        *("1 failed: bn-b2-s0", "Expected more than 1 value per channel", "in <module>"),
        *("1 diverged: gn-b2-s1", "loss was nan at step 7"),
        *("11 runs in this environment", "abc123 (with changes that are not committed)", "torch 9.9"),
        *("bnrepro sweep x", "Configuration", "10 runs took 10:15", "61.5", "812"),
    ):
        assert part in text, part


def test_no_address_leads_out_of_the_page(sweep: Sweep) -> None:
    """It must open on a train, and nobody may learn that it was opened."""
    made = page(sweep(**SMALL))
    assert made.addresses
    assert all(address.startswith("#") for address in made.addresses)
    assert "default-src 'none'" in made.html


def test_the_figure_has_every_seed_and_the_intervals(sweep: Sweep) -> None:
    made = page(sweep(**SMALL))
    means, seeds = made.traces("error")[:2]
    summary = load_results([sweep(**SMALL)]).summary
    rows = summary[(summary["norm"] == "bn") & (summary["statistics"] == "running")]
    assert means["y"] == pytest.approx(list(rows["mean"]), rel=1e-4)
    assert means["error_y"]["array"] == pytest.approx(list(rows["high"] - rows["mean"]), rel=1e-3)
    assert len(seeds["y"]) == 6
    assert "n = 3" in means["hovertext"][0]
    detail = made.data["details"][means["customdata"][0]]
    assert [what.split(":")[0] for what, _ in detail["seeds"]] == ["seed 0", "seed 1", "seed 2"]


@pytest.mark.parametrize(
    ("norm", "overrides"),
    [
        ("gn", ["experiment=digits", "norm.groups=4", "norm.momentum=0.2"]),
        ("bn", ["experiment=digits", "norm.groups=4", "norm.momentum=0.2", "optimizer.base_lr=0.3"]),
    ],
)
def test_the_command_of_a_cell_trains_that_cell(tmp_path: Path, norm: str, overrides: list[str]) -> None:
    """Whoever repeats a run by it would get another one."""
    plan = write_plan(tmp_path / "sweep", *overrides, norms=("bn", "gn"), sizes=(4, 32), images=1024)
    for cell in plan.cells:
        write_completed(tmp_path / "sweep" / "cells" / cell.id, cell.config, {"running": 3.0})
    commands = page(tmp_path / "sweep").data["commands"]
    place = [cell.id for cell in plan.cells if cell.config.norm.name == norm]
    own = [command for command in commands if f" norm={norm} " in command]
    assert len(own) == len(place)
    for command, cell in zip(own, (c for c in plan.cells if c.config.norm.name == norm), strict=True):
        program, name, *rest = shlex.split(command)
        assert (program, name) == ("bnrepro", "train")
        assert config_hash(compose_config(rest)) == config_hash(cell.config)


def test_what_users_call_things_is_text(sweep: Sweep) -> None:
    """A page is opened with a colleague's data: a folder's name must not run."""
    path = sweep(**SMALL)
    plan = json.loads((path / "sweep.json").read_text())
    (path / "sweep.json").write_text(json.dumps(plan | {"norm_labels": {"gn": NASTY}}))
    made = page(path)
    assert NASTY not in made.html
    assert NASTY in made.text
    traces = [trace for chart in made.data["charts"] for trace in made.traces(chart)]
    named = [trace["name"] for trace in traces if "script" in trace["name"]]
    assert named and not any("<" in name for name in named)  # plotly takes HTML
    assert not any("<script" in str(trace.get(key)) for trace in traces for key in ("text", "hovertext"))


def test_control_characters_of_files_are_shown_escaped(sweep: Sweep) -> None:
    path = sweep(**SMALL, states={"bn-b2-s0": "failed"}, message="bell \x07 and \x1b[31mred")
    (path / "cells" / "bn-b2-s0" / "error.txt").write_text("over\x00there\u202e\nnext </pre><b>line")
    made = page(path)
    assert not set(made.html) & set("\x00\x07\x1b\u202e")
    assert "bell \\x07 and \\x1b[31mred" in made.text
    assert "over\\x00there\\u202e next </pre><b>line" in made.text


def test_what_cannot_be_believed_is_named(sweep: Sweep) -> None:
    path = sweep(**SMALL)
    (path / "cells" / "bn-b2-s0" / "env.json").write_text("{")
    (path / "cells" / "bn-b2-s1" / "result.json").write_text("{")
    text = page(path, code=1).text
    assert "bn-b2-s0/env.json: is not JSON" in text
    assert "bn-b2-s1/result.json: is not JSON" in text


def test_a_sweep_in_which_everything_failed_still_has_a_page(sweep: Sweep) -> None:
    path = sweep(
        norms=("bn",),
        batch_sizes=(1,),
        seeds=(0, 1),
        states=dict.fromkeys(["bn-b1-s0", "bn-b1-s1"], "failed"),
    )
    text = page(path).text
    assert "no run reached an error; at 1 it cannot train (one value per channel: σ² = 0)" in text


def test_a_single_run_has_a_page(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "sweep", "experiment=digits", sizes=(4,), images=1024)
    directory = tmp_path / "sweep" / "cells" / plan.cells[0].id
    write_completed(directory, plan.cells[0].config, {"running": 3.0})
    from bnrepro.rundir.record import Record

    Record(directory, plan.cells[0].config).open({"command": "bnrepro train x"}, ["norm=bn", "batch_size=4"])
    write_completed(directory, plan.cells[0].config, {"running": 3.0})
    made = page(directory)
    assert made.data["commands"] == ["bnrepro train norm=bn batch_size=4"]
    assert "Batch norm: 3.0 % at 4 (n = 1)" in made.text


def test_sweeps_that_differ_in_a_key_have_a_switch(sweep: Sweep) -> None:
    paths = [
        sweep(name, **SMALL, base={"optimizer": {"momentum": momentum}})
        for name, momentum in (("a", 0.8), ("b", 0.9))
    ]
    made = page(*paths)
    assert 'data-switch="variant" value="optimizer.momentum=0.8"' in made.html
    assert "Batch norm, optimizer.momentum = 0.9" in made.text


def test_several_directories_need_a_name_for_the_page(sweep: Sweep) -> None:
    ended = call("report", str(sweep("a", **SMALL)), str(sweep("b", **SMALL)))
    assert (ended.code, ended.out) == (2, "")
    assert "--out: needed with 2 directories" in ended.err


def test_the_largest_sweeps_stay_below_6_mb(sweep: Sweep) -> None:
    """Mail servers refuse it, browsers take long."""
    norms = ("bn", "gn", "none", "brn", "mabn", "ln", "in", "frn")
    path = sweep(norms=norms, seeds=tuple(range(15)), epochs=39)
    made = page(path)
    assert len(made.html.encode()) < 6e6
    assert "some of the evaluations" in made.text


CLAIM = {
    "id": "5.1",
    "title": f"Trains faster {NASTY}",
    "verdict": "mixed",
    "parts": [
        {"name": "first", "criterion": "> 1", "verdict": "supported", "found": "2 [1.5, 2.5]", "numbers": {}}
    ],
    "experiments": {"faster": "bnrepro sweep batch-size experiment=digits"},
}


def test_claims_have_verdicts_parts_and_figures(tmp_path: Path) -> None:
    report = {
        "schema": 1,
        "environment": {"bnrepro": "0.1.0", "versions": {"torch": "9.9"}},
        "claims": [CLAIM],
    }
    (tmp_path / "claims.json").write_text(json.dumps(report))
    (tmp_path / "claim_5_1.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    made = page(tmp_path)
    for part in (
        "Trains faster",
        "mixed",
        "supported",
        "> 1",
        "2 [1.5, 2.5]",
        "experiment=digits",
        "torch 9.9",
    ):
        assert part in made.text
    assert NASTY not in made.html
    assert 'src="data:image/svg+xml;base64,' in made.html
    assert len(made.html) < 100_000  # nothing to draw: plotly stays out


def test_claims_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text('{"environment": {}, "claims": [{"id": 5}]}')
    ended = call("report", str(tmp_path))
    assert ended.code == 2
    assert "claims[0].id must be a text, not 5" in ended.err
