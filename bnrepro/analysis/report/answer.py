"""The question of a sweep and its answer in two sentences, made from the effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bnrepro.analysis.effects import significantly_worse
from bnrepro.analysis.names import Names
from bnrepro.analysis.results import Results
from bnrepro.analysis.strip import ONE_VALUE
from bnrepro.analysis.x_axis import BATCH_SIZE


def find_question(results: Results, names: Names) -> str:
    """What the sweep asks."""
    norms = list(results.summary["norm"].unique())
    if results.axis.key != BATCH_SIZE:
        return f"How does the error depend on {results.axis.key}?"
    batch = [norm for norm in norms if norm in results.batch_norms]
    others = len(batch) < len(norms)
    first = _inside_sentence(names((batch or norms)[0]))
    return f"Do small batches hurt {first}{', and not the others' if batch and others else ''}?"


def find_answer(results: Results, effects: pd.DataFrame, names: Names) -> list[str]:
    """One sentence on the norms with batch statistics, one on the others; each where there are any."""
    running = effects[(effects["statistics"] == "running")]
    said: dict[bool, list[str]] = {True: [], False: []}
    lines = ["variant", "norm"] if "variant" in running else ["norm"]
    for keys, rows in running.groupby(lines, sort=False):
        norm = keys[-1]
        variant = [f"{results.variants.key} = {keys[0]}"] if len(keys) > 1 else []
        who = ", ".join([names(norm), *variant])
        said[norm in results.batch_norms].append(f"{who}: {_phrase(results, norm, rows)}")
    return [f"{'; '.join(phrases)}." for phrases in said.values() if phrases]


def _inside_sentence(name: str) -> str:
    """`batch norm`, but `BN` as it is."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def _phrase(results: Results, norm: str, rows: pd.DataFrame) -> str:
    x = results.axis.column
    known = rows[(rows["n"] > rows["n_diverged"])]
    if known.empty:
        return "no run reached an error" + _lost(results, norm, rows)
    if rows["shared"].any():
        row = known.iloc[0]
        return f"sees no batch, {row['mean']:.1f} % at every {_value_word(results)} (n = {row['n']})"
    if rows["baseline"].isna().all() or len(known) == 1:
        row = known.iloc[0]
        return f"{row['mean']:.1f} % at {row[x]:g} (n = {row['n']})" + _lost(results, norm, rows)
    return _compared(rows, known, x) + _lost(results, norm, rows)


def _compared(rows: pd.DataFrame, known: pd.DataFrame, x: str) -> str:
    at = rows["baseline"].dropna().iloc[0]
    best = rows[rows[x] == at].iloc[0].to_dict()
    # at the baseline itself there is no difference
    worst = known.sort_values("baseline_difference", ascending=False).iloc[0].to_dict()
    rise = (
        f"{best['mean']:.1f} % at {at:g} and {worst['mean']:.1f} % at {worst[x]:g}: "
        f"{worst['baseline_difference']:+.1f} points"
    )
    if known["baseline_p"].isna().all():
        return f"{rise} (n = {worst['n']}, too few seeds for an interval)"
    worse = known[significantly_worse(known)]
    if worse.empty:
        said = f"nowhere significantly worse than its {best['mean']:.1f} % at {at:g}"
        return f"{said} (at {worst[x]:g}: {_evidence(worst)})" if pd.notna(worst["baseline_p_holm"]) else said
    row = worse.sort_values("baseline_difference", ascending=False).iloc[0].to_dict()
    way = f"from {best['mean']:.1f} % at {at:g} to {row['mean']:.1f} % at {row[x]:g}"
    return f"the error rises {way}, by {_evidence(row)}"


def _evidence(row: Mapping[str, Any]) -> str:
    p = row["baseline_p_holm"]
    words = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    interval = f"{row['baseline_low']:+.1f} to {row['baseline_high']:+.1f}"
    return f"{row['baseline_difference']:.1f} points (95 % interval {interval}, {words}, n = {row['n']})"


def _lost(results: Results, norm: str, rows: pd.DataFrame) -> str:
    """Where runs have no error of their own, and why."""
    x = results.axis.column
    parts = []
    failed = rows[(rows["n_failed"] > 0)]
    if len(failed):
        table = results.table
        messages = table.loc[(table["norm"] == norm) & (table["status"] == "failed"), "message"].fillna("")
        one_value = all(ONE_VALUE in message for message in messages)
        why = "it cannot train (one value per channel: σ² = 0)" if one_value else "runs failed"
        parts.append(f"at {_joined(failed[x])} {why}")
    diverged = rows[rows["n_diverged"] > 0]
    if len(diverged):
        parts.append(f"runs at {_joined(diverged[x])} diverged")
    return "".join(f"; {part}" for part in parts)


def _value_word(results: Results) -> str:
    return "batch size" if results.axis.key == BATCH_SIZE else f"value of {results.axis.key}"


def _joined(values: pd.Series) -> str:
    return ", ".join(f"{value:g}" for value in values)
