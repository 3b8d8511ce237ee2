"""A folder of results/ from a sweep: python scripts/write_result_page.py SWEEP TARGET [BASELINE [BESIDE]]

Figures and tables are those of `bnrepro plot`; README.md says what was run and what came out, and keeps its
title and what stands under "What is seen". BASELINE (32): the batch size to compare the rest with. BESIDE: a
folder of results/ with the same norms and seeds under other settings, to compare with cell by cell.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.analysis.kept import PLACES
from bnrepro.claims.intervals import of_difference

SEEN = "## What is seen"
GIVEN_BACK = """\
What other statistics give back at evaluation: error under running statistics less that under precise ones,
and less that under the batch's own ([figure](statistics/figure.png), [effects](statistics/effects.csv)),
paired by seed, with a 95 % t-interval."""
IN_TRAINING = """\
How much is lost in training: the error of the last epoch's steps, under the batch's own statistics, less that
at the baseline, paired in the same way."""
AGAINST_BATCH_NORM = (
    "Each norm less batch norm at the same size, in points, paired by seed, with a 95 % t-interval:"
)
SCRIPT = "python scripts/write_result_page.py"
STATISTICS = "running,precise,batch"
Rows = list[dict[str, str]]


def main(sweep: Path, target: Path, baseline: str = "32", beside: str | None = None) -> None:
    _plot(sweep, target, baseline, "png,svg", "running")
    _plot(sweep, target / "statistics", baseline, "png", STATISTICS)
    for path in (target / "statistics").iterdir():
        if path.name not in ("figure.png", "effects.csv"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for folder in (target / "tensorboard", target / "statistics" / "tensorboard"):
        shutil.rmtree(folder, ignore_errors=True)
    page = target / "README.md"
    old = page.read_text(encoding="utf-8") if page.exists() else f"# {target.name}\n"
    seen = old[old.index(SEEN) :] if SEEN in old else f"{SEEN}\n"
    title = old.splitlines()[0]
    page.write_text(
        "\n".join([title, "", *_lines(sweep, target, baseline, beside)]) + "\n" + seen, encoding="utf-8"
    )


def _plot(sweep: Path, out: Path, baseline: str, formats: str, statistics: str) -> None:
    options = ["--baseline", baseline, "--format", formats, "--statistics", statistics]
    command = [sys.executable, "-m", "bnrepro", "plot", str(sweep), "--out", str(out), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _lines(sweep: Path, target: Path, baseline: str, beside: str | None) -> Iterator[str]:
    plan = json.loads((target / "sweep.json").read_text(encoding="utf-8"))
    table = pd.read_csv(target / "table.csv")
    environments = [json.loads(path.read_text()) for path in sorted(sweep.glob("cells/*/env.json"))]
    yield from ("![Error against the normalization batch](figure.png)", "", "| | |", "|---|---|")
    page = " ".join([SCRIPT, "SWEEP", target.as_posix(), baseline, *([beside] if beside else [])])
    yield f"| command | `{_command(plan)}`, then `{page}` |"
    for name, value in _facts(plan, table, environments):
        yield f"| {name} | {value} |"
    yield from (
        "",
        "Error in percent under the running statistics, mean ± standard deviation (n); differences in",
    )
    yield "points with a 95 % Welch interval of each alone, and p with Holm's correction over a norm's sizes"
    yield from ("([effects.csv](effects.csv), [summary.csv](summary.csv), [table.csv](table.csv)):", "")
    yield from _effects(_read(target / "effects.csv"), baseline)
    if lines := list(_against_batch_norm(table)):
        yield from ("", AGAINST_BATCH_NORM, "", *lines)
    if beside is not None:
        yield from ("", *_against(table, Path(beside), target))
    if lines := list(_given_back(table, None if len(plan["batch_sizes"]) == 1 else int(baseline))):
        yield from ("", GIVEN_BACK, *([IN_TRAINING] if len(plan["batch_sizes"]) > 1 else []), "", *lines)
    yield from ("", "![Learning curves](curves.png)", "")


def _facts(
    plan: dict[str, Any], table: pd.DataFrame, environments: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    base, first = plan["base"], environments[0]
    data = base["data"]
    images = f"{data['train_subset']:,} training images" if data["train_subset"] else "all training images"
    sizes = set(table["sgd_batch_size"])
    yield (
        "data, model",
        f"{table['data'].iloc[0]}, {images}; {base['model']['name']}, {base['epochs']} epochs",
    )
    rate = f"base learning rate {base['optimizer']['base_lr']:g} for every norm"
    yield (
        "protocol",
        f"`{plan['protocol']}`{f', {sizes.pop()} images behind a step' if len(sizes) == 1 else ''}; {rate}",
    )
    yield "n", _seeds(plan, table) + _ended_badly(table)
    commits = Counter((env["commit"][:7], env["dirty"]) for env in environments)
    text = ", ".join(
        f"{commit} ({number} runs, {'with changes' if dirty else 'a clean tree'})"
        for (commit, dirty), number in commits.items()
    )
    yield "commit", text
    versions = f"torch {first['versions']['torch']}, Python {first['python']}"
    yield "device, versions", f"{first['device']}, one single-threaded run on each of 2 cores; {versions}"
    hours = table["wall_seconds"].sum() / 3600
    yield "time", f"{hours:.1f} hours of runs, two side by side, on a machine busy with other work"


def _command(plan: dict[str, Any]) -> str:
    kept = [text for text in plan["overrides"] if not text.startswith(PLACES)]
    sizes, seeds = (",".join(map(str, plan[key])) for key in ("batch_sizes", "seeds"))
    axes = ["--norms", ",".join(plan["norms"]), "--batch-sizes", sizes, "--seeds", seeds]
    return " ".join(["bnrepro", "sweep", "batch-size", *kept, "data.root=DIR", *axes])


def _seeds(plan: dict[str, Any], table: pd.DataFrame) -> str:
    missing = len(plan["cells"]) - len(table)
    seeds = len(plan["seeds"])
    text = f"{seeds} seed{'s' if seeds > 1 else ': no interval'}"
    return text + (f"; unfinished: {missing} of {len(plan['cells'])} cells are missing" if missing else "")


def _ended_badly(table: pd.DataFrame) -> str:
    """Diverged runs count with the error of chance, failed ones have none."""
    found = {status: list(table.loc[table["status"] == status, "id"]) for status in ("diverged", "failed")}
    lists = {status: ", ".join(f"`{cell}`" for cell in cells) for status, cells in found.items() if cells}
    return "".join(f"; {status}: {cells}" for status, cells in lists.items())


def _effects(rows: Rows, baseline: str) -> Iterator[str]:
    yield f"| norm | batch size | error | − at {baseline} | p | − group norm | p |"
    yield "|---|---|---|---|---|---|---|"
    shared = set()
    for row in rows:
        if row["statistics"] != "running" or row["mean"] == "" or row["norm"] in shared:
            continue
        if row["shared"] == "True":  # the same runs at every size
            shared.add(row["norm"])
        where = "trained once" if row["shared"] == "True" else row["batch_size"]
        spread = f" ± {float(row['sd']):.2f}" if row["sd"] else ""
        error = f"{float(row['mean']):.2f}{spread} ({row['n']})"
        own = (_difference(row, "baseline"), _p(row, "baseline"), _difference(row, "gn"), _p(row, "gn"))
        yield f"| `{row['norm']}` | {where} | {error} | {' | '.join(own)} |"


def _difference(row: dict[str, str], of: str) -> str:
    if not row.get(f"{of}_difference"):
        return ""
    values = [float(row[f"{of}_{key}"] or "nan") for key in ("difference", "low", "high")]
    interval = f" [{values[1]:.2f}, {values[2]:.2f}]" if values[1] == values[1] else ""
    return f"{values[0]:+.2f}{interval}".replace("-", "−")


def _p(row: dict[str, str], of: str) -> str:
    p = row.get(f"{of}_p_holm")
    return f"{float(p):.2g}" if p else ""


def _against_batch_norm(table: pd.DataFrame) -> Iterator[str]:
    """Where there are remedies: of group norm and no norm alone the differences stand above."""
    counted = table[table["status"] != "failed"]
    batch_norm = {
        size: _by_seed(rows) for size, rows in counted[counted["norm"] == "bn"].groupby("batch_size")
    }
    others = counted[counted["norm"] != "bn"].groupby("norm", sort=False)
    if not batch_norm or set(others.groups) <= {"gn", "none"}:
        return
    yield from (
        f"| norm | {' | '.join(f'at {size}' for size in batch_norm)} |",
        "|---" * (len(batch_norm) + 1) + "|",
    )
    for norm, rows in others:
        at_sizes = [rows if rows["shared"].all() else rows[rows["batch_size"] == size] for size in batch_norm]
        pairs = zip(map(_by_seed, at_sizes), batch_norm.values(), strict=True)
        yield f"| `{norm}` | {' | '.join(_paired(own, bn) for own, bn in pairs)} |"


def _against(table: pd.DataFrame, beside: Path, target: Path) -> Iterator[str]:
    counted, others = (one[one["status"] != "failed"] for one in (table, pd.read_csv(beside / "table.csv")))
    link = os.path.relpath(beside / "README.md", target)
    yield f"Less the same cell of [{beside.name}]({link}), and less its batch norm at the same size; in"
    yield from ("points, paired by seed, with a 95 % t-interval:", "")
    yield from ("| norm | batch size | there | here − there | here − `bn` there |", "|---|---|---|---|---|")
    for (norm, size), rows in counted.groupby(["norm", "batch_size"], sort=True):
        at_size = others[others["batch_size"] == size]
        there, batch_norm = (_by_seed(at_size[at_size["norm"] == name]) for name in (norm, "bn"))
        mean = f"{sum(there.values()) / len(there):.2f} ({len(there)})" if there else ""
        differences = " | ".join(_paired(_by_seed(rows), other) for other in (there, batch_norm))
        yield f"| `{norm}` | {size} | {mean} | {differences} |"


def _by_seed(rows: pd.DataFrame, column: str = "error_running") -> dict[int, float]:
    return rows.set_index("seed")[column].to_dict()


def _paired(of: dict[int, float], minus: dict[int, float]) -> str:
    """The difference over the seeds that both have; nothing where there is none."""
    return of_difference(of, minus).text().replace("-", "−") if of.keys() & minus.keys() else ""


def _given_back(table: pd.DataFrame, baseline: int | None) -> Iterator[str]:
    """Of the norms that have precise statistics."""
    counted = table[(table["status"] != "failed") & table["error_precise"].notna()]
    if len(counted):
        training = "" if baseline is None else f" in training, − at {baseline} |"
        yield from (f"| norm | batch size | precise | own |{training}", "|---" * (5 if training else 4) + "|")
    for (norm, size), rows in counted.groupby(["norm", "batch_size"], sort=True):
        others = (_by_seed(rows, f"error_{statistics}") for statistics in ("precise", "batch"))
        found = [_paired(_by_seed(rows), other) for other in others]
        if baseline is not None:
            at_baseline = counted[(counted["norm"] == norm) & (counted["batch_size"] == baseline)]
            found.append(_in_training(rows, at_baseline) if size != baseline else "")
        yield f"| `{norm}` | {size} | {' | '.join(found)} |"


def _in_training(rows: pd.DataFrame, at_baseline: pd.DataFrame) -> str:
    """Of the runs that trained to their end."""
    ended = (some[some["status"] == "completed"] for some in (rows, at_baseline))
    return _paired(*(_by_seed(some, "train_error") for some in ended))


def _read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(f"usage: {SCRIPT} SWEEP TARGET [BASELINE [BESIDE]]")
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
