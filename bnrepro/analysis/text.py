"""Effects as tables: for the terminal, for a README (Markdown) and for a paper (LaTeX)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnrepro.analysis.effects import GROUP_NORM, SIGNIFICANT, significantly_worse

NOTHING = "–"
Name = Callable[[str], str]
"""From the config's name of a norm to the one that is printed."""


@dataclass(frozen=True)
class TextTable:
    """Cells as text. The columns after the first `left` ones are numbers and stand to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int
    notes: tuple[str, ...] = ()


def error_grid(summary: pd.DataFrame, x: str, name: Name = str) -> TextTable:
    """A row per batch size and a column per norm: mean ± sd (n) in percent, under running statistics."""
    rows = summary[summary["statistics"] == "running"]
    lines = [key for key in ("variant", "norm") if key in rows]
    columns: dict[str, dict[Any, str]] = {}
    for keys, mine in rows.groupby(lines, sort=False):
        *variant, norm = keys
        columns[", ".join([name(norm), *variant])] = {row[x]: _mean(row) for row in mine.to_dict("records")}
    values = sorted(set(rows[x]))
    grid = [[f"{value:g}", *(column.get(value, NOTHING) for column in columns.values())] for value in values]
    return TextTable((x, *columns), tuple(map(tuple, grid)), left=0)


def effect_table(effects: pd.DataFrame, x: str, name: Name = str) -> TextTable:
    """A row per norm × batch size × statistics: mean ± sd (n), and the differences with their intervals."""
    several = effects["statistics"].nunique() > 1
    with_group = bool(effects[f"{GROUP_NORM}_difference"].notna().any())
    rows = []
    for row in effects.to_dict("records"):
        norm = f"{name(row['norm'])}, {row['variant']}" if "variant" in row else name(row["norm"])
        at = "all" if row["shared"] else f"{row[x]:g}"
        line = [
            norm,
            *([row["statistics"]] if several else []),
            at,
            _mean(row),
            *_difference(row, "baseline"),
        ]
        rows.append((*line, *(_difference(row, GROUP_NORM) if with_group else ())))
    header = ["norm", *(["statistics"] if several else []), x, "error (%)", "− baseline", "p"]
    header += [f"− {name(GROUP_NORM)}", "p"] if with_group else []
    # a norm that was trained once has the same row at every size
    distinct = tuple(dict.fromkeys(rows))
    return TextTable(tuple(header), distinct, left=2 if several else 1, notes=_notes(effects, x, name))


def plain(table: TextTable) -> list[str]:
    """Lines for a terminal."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if place < table.left else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (table.header, *table.rows)
    ]


def markdown(table: TextTable) -> str:
    """A table for a README, and its notes."""
    rules = ["---" if place < table.left else "--:" for place in range(len(table.header))]
    rows = [_markdown_row(row) for row in (table.header, rules, *table.rows)]
    return "\n".join([*rows, "", *(f"{_escape_markdown(note)}  " for note in table.notes)]) + "\n"


def latex(table: TextTable) -> str:
    """A `tabular` for a paper, with booktabs' rules; the notes are comments."""
    columns = "l" * table.left + "r" * (len(table.header) - table.left)
    head, *body = (" & ".join(map(_escape_latex, row)) + r" \\" for row in (table.header, *table.rows))
    return "\n".join(
        [
            *(f"% {note}" for note in table.notes),
            rf"\begin{{tabular}}{{{columns}}}  % \usepackage{{booktabs}}",
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
            r"\end{tabular}",
            "",
        ]
    )


def _mean(row: dict[str, Any]) -> str:
    if not row["n"]:
        return "failed" if row["n_failed"] else NOTHING
    if row["n_diverged"] == row["n"]:
        return f"diverged ({row['n']})"
    spread = "" if pd.isna(row["sd"]) else f" ± {row['sd']:.2f}"
    return f"{row['mean']:.2f}{spread} ({row['n']})"


def _difference(row: dict[str, Any], to: str) -> tuple[str, str]:
    """`+46.82 [38.01, 55.63]` and its corrected p."""
    difference = row[f"{to}_difference"]
    if pd.isna(difference):
        return NOTHING, NOTHING
    text = f"{difference:+.2f}"
    if not pd.isna(row[f"{to}_low"]):
        text += f" [{row[f'{to}_low']:+.2f}, {row[f'{to}_high']:+.2f}]"
    return text, _p(row[f"{to}_p_holm"])


def _p(value: float) -> str:
    if pd.isna(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _notes(effects: pd.DataFrame, x: str, name: Name) -> tuple[str, ...]:
    """How to read the table, and its answer: where a norm is worse than at its baseline."""
    lines = [key for key in ("variant", "norm", "statistics") if key in effects]
    notes = [
        "Error: mean ± standard deviation (seeds). Differences: percentage points with a 95 % Welch "
        "interval; p: two-sided, Holm-corrected over the norm's rows."
    ]
    several = effects["statistics"].nunique() > 1
    for keys, rows in effects.groupby(lines, sort=False):
        *variant, norm, statistics = keys
        at = rows["baseline"].dropna()
        if at.empty:
            continue
        who = ", ".join([name(norm), *variant, *([statistics] if several else [])])
        notes.append(f"{who}: {_answer(rows, x, at.iloc[0])}")
    return tuple(notes)


def _answer(rows: pd.DataFrame, x: str, baseline: float) -> str:
    worse = [f"{value:g}" for value in rows.loc[significantly_worse(rows), x]]
    failed = [f"{value:g}" for value in rows.loc[(rows["n"] == 0) & (rows["n_failed"] > 0), x]]
    if rows["baseline_p"].isna().all():
        said = f"baseline {baseline:g}, no p-values (at least 2 seeds with some spread are needed)"
    elif worse:
        said = f"significantly worse (p < {SIGNIFICANT:.2g}) than at {baseline:g} at {x} {', '.join(worse)}"
    else:
        said = f"nowhere significantly worse (p < {SIGNIFICANT:.2g}) than at {baseline:g}"
    return said + (f"; failed at {', '.join(failed)}" if failed else "") + "."


def _markdown_row(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escape_markdown, row))} |"


def _escape_markdown(text: str) -> str:
    for sign in "\\|*_`<>[":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


LATEX_SIGNS = {sign: rf"\{sign}" for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
}


def _escape_latex(text: str) -> str:
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in " ".join(text.split()))
