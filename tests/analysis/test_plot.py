"""`bnrepro plot` from end to end, on synthetic sweeps."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from bnrepro.analysis import load_table
from bnrepro.analysis.figure import Options
from bnrepro.analysis.plot import Choice, write_plots
from bnrepro.cli.plot import plot
from bnrepro.config.errors import UsageError

SMALL = {"norms": ("bn", "gn"), "batch_sizes": (2, 4)}


def names(plots) -> list[str]:
    return [path.name for path in plots.written]


def test_writes_tables_figures_and_the_tensorboard_view_into_the_sweep(sweep) -> None:
    path = sweep(**SMALL)
    plots = write_plots([path])
    assert names(plots) == [
        *("table.csv", "summary.csv", "effects.csv", "figure.png", "figure.svg", "figure.pdf"),
        *("curves.png", "curves.svg", "curves.pdf", "sweep"),
    ]
    assert all(file.exists() and file.is_relative_to(path) for file in plots.written)
    assert plots.notes == ()


def test_only_the_formats_asked_for(sweep, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    write_plots([sweep(**SMALL)], out=out, formats=["svg"])
    assert sorted(file.name for file in out.iterdir()) == [
        *("curves.svg", "effects.csv", "figure.svg", "metrics.csv", "summary.csv", "sweep.json", "table.csv")
    ]


def test_same_results_give_the_same_bytes(sweep, tmp_path: Path) -> None:
    """Committed figures change in git only when the results do."""
    path = sweep(**SMALL)
    for name in ("a", "b"):
        write_plots([path], out=tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert len(files) == 11
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_table_csv_keeps_every_digit(sweep) -> None:
    path = sweep(**SMALL, seeds=(0, 1))
    write_plots([path], formats=["png"])
    stored, table = pd.read_csv(path / "table.csv"), load_table(path)
    assert list(stored["error_running"]) == list(table["error_running"])
    assert list(stored.columns) == list(table.columns)


def test_a_partial_sweep_says_what_is_missing_and_what_failed(sweep) -> None:
    path = sweep(**SMALL, states={"bn-b2-s0": "failed", "gn-b4-s0": "missing"})
    missing, failed = write_plots([path], formats=["png"]).notes
    assert missing == "missing: 1 of 4 cells have no result yet: gn-b4-s0"
    assert failed.startswith("failed: 1 of 4 cells: bn-b2-s0; bn-b2-s0: Expected more than 1 value")


def test_a_long_list_of_missing_cells_is_shortened(sweep) -> None:
    path = sweep(
        norms=("bn",),
        batch_sizes=(2,),
        seeds=tuple(range(30)),
        states={f"bn-b2-s{seed}": "missing" for seed in range(1, 30)},
    )
    (note,) = write_plots([path], formats=["png"]).notes
    assert "29 of 30" in note
    assert note.endswith("and 21 more")


@pytest.mark.parametrize(
    ("state", "message"),
    [("missing", "no cell is finished yet"), ("failed", "Expected more than 1 value per channel")],
)
def test_nothing_to_plot_says_why(sweep, state: str, message: str) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1,), states={"bn-b1-s0": state})
    with pytest.raises(UsageError, match=message):
        write_plots([path])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"formats": ["jpg"]}, "--format=jpg: choices: png, svg, pdf, md, tex"),
        ({"choice": Choice(statistics=("mean",))}, "--statistics=mean: choices: running, precise, batch"),
        ({"choice": Choice(reference="wu")}, "--reference=wu: choices: wu_he_2018"),
        ({"options": Options(x_order="down")}, "--x-order=down: choices: large-to-small, small-to-large"),
    ],
)
def test_a_wrong_choice_names_the_choices(sweep, argument, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_plots([sweep(**SMALL)], **argument)


def test_out_that_cannot_be_made_is_a_user_error(sweep, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        write_plots([sweep(**SMALL)], out=tmp_path / "file", formats=["png"])


def test_all_runs_diverged_is_still_a_figure(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1,), states={"bn-b1-s0": "diverged"})
    assert "figure.png" in names(write_plots([path], formats=["png"]))


def test_statistics_that_no_cell_has_are_said_and_the_rest_is_drawn(sweep) -> None:
    path = sweep(**SMALL, error=lambda *_: {"running": 40.0})
    notes = write_plots([path], formats=["png"], choice=Choice(statistics=("precise",))).notes
    assert notes == ("bn: no finished cell has an error under precise statistics; not drawn",)


def test_a_reference_without_our_norms_is_said(sweep) -> None:
    path = sweep(norms=("frn",), batch_sizes=(4,))
    (note,) = write_plots([path], formats=["png"], choice=Choice(reference="wu_he_2018")).notes
    assert note.startswith("reference: Wu & He 2018")


@pytest.mark.parametrize(("asked", "drawn"), [(None, True), ("none", False)])
def test_the_experiments_reference_is_drawn_unless_refused(sweep, asked, drawn: bool) -> None:
    path = sweep(**SMALL, reference="mabn_2020")
    write_plots([path], formats=["svg"], choice=Choice(reference=asked))
    assert ("Yan et al. 2020" in (path / "figure.svg").read_text()) == drawn


def test_the_command_prints_what_is_missing_and_what_it_wrote(sweep, capsys) -> None:
    path = sweep(**SMALL, states={"gn-b4-s0": "missing"})
    plot([path], formats="png, svg", statistics="running")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["norm", "batch_size", "error", "(%)", "−", "baseline", "p", "−", "gn", "p"]
    missing = next(place for place, line in enumerate(lines) if line.startswith("missing: 1 of 4"))
    assert [Path(line).name for line in lines[missing + 1 : missing + 6]] == [
        *("table.csv", "summary.csv", "effects.csv", "figure.png", "figure.svg")
    ]


def test_tensorboard_shows_the_last_figures_only(sweep) -> None:
    path = sweep(**SMALL)
    (path / "tensorboard" / "sweep").mkdir(parents=True)
    other = path / "tensorboard" / "sweep" / "events.out.tfevents.0.host"
    other.write_bytes(b"")
    for _ in range(2):
        write_plots([path], formats=["png"])
    (file,) = (path / "tensorboard" / "sweep").glob("*.figures")
    images = {
        value.tag: value.image.encoded_image_string
        for record in RawEventFileLoader(str(file)).Load()
        for value in Event.FromString(record).summary.value
    }
    assert list(images) == ["figure"]
    with Image.open(BytesIO(images["figure"])) as image:
        assert 300 <= image.width <= 400  # a card's width: TensorBoard makes larger ones illegible
    assert other.exists()


def test_with_out_the_sweeps_directory_is_only_read(sweep, tmp_path: Path) -> None:
    """It may be somebody else's."""
    path = sweep(**SMALL)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    write_plots([path], out=tmp_path / "out", formats=["png"])
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_where_tensorboard_cannot_be_written_the_rest_is(sweep) -> None:
    path = sweep(**SMALL)
    (path / "tensorboard").write_text("in the way")
    plots = write_plots([path], formats=["png"])
    assert "figure.png" in names(plots)
    assert "sweep" not in names(plots)
    assert plots.notes[0].startswith("tensorboard:")


def test_what_is_drawn_can_be_chosen_and_the_tables_keep_everything(sweep) -> None:
    path = sweep(batch_sizes=(1, 2, 4))
    plots = write_plots([path], formats=["svg"], choice=Choice(norms=("gn", "bn"), values=(2, 4)))
    svg = (path / "figure.svg").read_text()
    assert svg.index("Group norm (8 groups)") < svg.index("Batch norm")
    assert "No norm" not in svg
    assert [line.split()[:2] for line in plots.effects[1:5]] == [
        ["bn", "2"],
        ["bn", "4"],
        ["gn", "2"],
        ["gn", "4"],
    ]
    assert len(pd.read_csv(path / "table.csv")) == 9


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"norms": "bn,zz"}, "--norms=zz: choices: bn, gn"),
        ({"batch_sizes": "2,3"}, "--batch-sizes=3: choices: 2, 4"),
        ({"batch_sizes": "two"}, "--batch-sizes two: must be numbers with commas between, as 1,2,4"),
        ({"baseline": 3}, "--baseline=3: choices: 2, 4"),
        ({"size": "7"}, "--size 7: must be two numbers, as 7x4 (inches, from 1)"),
        ({"size": "7x0"}, "--size 7x0: must be two numbers, as 7x4 (inches, from 1)"),
        ({"ylim": "60,0"}, "--ylim 60,0: must be two numbers, as 0,60 (percent, rising)"),
        ({"style": "poster"}, "--style=poster: choices: paper, talk"),
        ({"labels": "long"}, "--labels=long: choices: names, config"),
    ],
)
def test_a_wrong_option_is_one_line(sweep, options, line: str) -> None:
    with pytest.raises(UsageError) as refused:
        plot([sweep(**SMALL)], **options)
    assert str(refused.value) == line


def test_markdown_and_latex_have_the_names_a_reader_knows(sweep) -> None:
    path = sweep(**SMALL)
    write_plots([path], formats=["md", "tex"])
    assert "| Group norm (8 groups) | 2 |" in (path / "effects.md").read_text()
    assert "Group norm (8 groups) & 2 &" in (path / "effects.tex").read_text()
    assert not (path / "figure.png").exists()
