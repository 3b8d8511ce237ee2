"""What a reader must know to believe the figure, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bnrepro.analysis.names import Names, model_label
from bnrepro.analysis.results import Results
from bnrepro.analysis.series import Series
from bnrepro.analysis.x_axis import BATCH_SIZE
from bnrepro.config.identity import CANNOT_CHANGE_A_NUMBER

KEEP = "\u00a0"
"""A space at which no line ends."""
LEAST_FOR_INTERVAL = 3
"""Seeds: the t-interval of two values is 9 standard deviations wide to each side."""
PROTOCOLS = {
    "coupled": "one worker, SGD batch = normalization batch",
    "workers": "{workers} workers, SGD batch = {workers} × images per worker",
    "fixed_sgd": "SGD batch {sgd}",
}
SAID = (
    *("experiment", "data", "data.name", "data.root", "model", "protocol", "epochs"),
    *("norm", "batch_size", "seed"),
)
"""Keys of overrides that the figure names anyway."""
IDLE = tuple(f"{part}." for part in CANNOT_CHANGE_A_NUMBER)


def describe_setup(results: Results) -> str:
    """`ResNet-8 on CIFAR-10, 10,240 training images, 6 epochs, protocol coupled.` And what was changed."""
    table = results.table
    protocol = _values(table["protocol"])
    sizes = PROTOCOLS.get(protocol, "").format(
        workers=_values(table["workers"]), sgd=_values(table["sgd_batch_size"])
    )
    parts = [
        f"{model_label(_values(table['model']))} on {_values(table['data'])}",
        *_training_images(results.images),
        *([] if results.axis.key == "epochs" else [f"{_values(table['epochs'])} epochs"]),
        f"protocol {protocol}{f' ({sizes})' if sizes else ''}",
        *([] if results.axis.key == BATCH_SIZE else [f"batch size {_values(table['batch_size'])}"]),
    ]
    return f"{', '.join(parts)}.{_overridden(results)}"


def describe_figure(
    results: Results, series: Sequence[Series], names: Names, more: Sequence[str] = ()
) -> str:
    """The caption: setup, n, what is not to be seen from the lines; `more` are sentences of the figure's."""
    total = len(results.planned)
    sentences = [
        describe_setup(results),
        _seeds(series),
        _statistics(series, results),
        _shared(series, results),
        _diverged(results),
        _failed(results, names),
        f"Partial: {results.finished} of {total} cells are finished." if results.finished < total else "",
        *more,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def shorten(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _values(column: pd.Series) -> str:
    return ", ".join(str(value) for value in column.dropna().unique())


def _training_images(seen: Sequence[int]) -> list[str]:
    """That an epoch sees; a range where cells differ in it."""
    return (
        [f"{'–'.join(f'{images:,}' for images in dict.fromkeys((seen[0], seen[-1])))} training images"]
        if seen
        else []
    )


def _overridden(results: Results) -> str:
    """What was changed from the experiment, as it was typed."""
    first = results.sweeps[0].plan
    texts = list(dict.fromkeys(o for sweep in results.sweeps for o in sweep.plan.get("overrides", ())))
    changed = [text for text in texts if not _is_said(text, results.variants.key)]
    name = first.get("experiment", "default")
    if changed:
        return f" Changed from experiment {name}: {', '.join(changed)}."
    return f" Experiment {name}." if name != "default" else ""


def _is_said(override: str, variant: str | None) -> bool:
    key = re.split(r"[=@]", override.lstrip("+~"))[0]
    return key == variant or key in SAID or f"{key}.".startswith(IDLE)


def _seeds(series: Sequence[Series]) -> str:
    n = [int(value) for line in series for value in line.n if value]
    if not n:
        return ""
    least, most = min(n), max(n)
    count = f"{most}" if least == most else f"{least}–{most}"
    head = f"n{KEEP}={KEEP}{count}{KEEP}seed{'s' if most > 1 else ''}"
    if most == 1:
        return f"{head}: no interval."
    if most < LEAST_FOR_INTERVAL:
        return f"{head}: lines are means, dots single seeds; no interval."
    few = f" (from n{KEEP}={KEEP}{LEAST_FOR_INTERVAL})" if least < LEAST_FOR_INTERVAL else ""
    return f"{head}: mean and 95{KEEP}% t-interval of the mean{few}; dots are single seeds."


def _statistics(series: Sequence[Series], results: Results) -> str:
    mine = [line for line in series if line.norm in results.batch_norms]
    if not mine:
        return ""
    if all(line.statistics is None for line in mine):
        return "Evaluated with running statistics."
    kinds = list(dict.fromkeys(line.statistics for line in mine if line.statistics))
    return f"{', '.join(kinds).capitalize()}: the statistics that batch norms use at evaluation."


def _shared(series: Sequence[Series], results: Results) -> str:
    names = list(dict.fromkeys(line.name for line in series if line.shared))
    if not names:
        return ""
    sizes = _values(results.table.loc[results.table["shared"], "sgd_batch_size"])
    return (
        f"Horizontal: {', '.join(names)}; they see no batch, so they were trained once per seed "
        f"({sizes} images per step)."
    )


def _diverged(results: Results) -> str:
    rows = results.table[results.table["status"] == "diverged"]
    if rows.empty:
        return ""
    chance = rows["error_running"].dropna().unique()
    of = f" ({chance[0]:g}{KEEP}%)" if len(chance) == 1 else ""
    return f"Diverged runs count with the error of chance{of}; no point where all diverged."


def _failed(results: Results, names: Names) -> str:
    rows = results.table[results.table["status"] == "failed"]
    if rows.empty:
        return ""
    x = results.axis.column
    counts: dict[tuple[Any, Any], int] = rows.groupby(["norm", x], sort=False).size().to_dict()
    told = [
        f"{names(norm)} at {value} ({count} run{'s' if count > 1 else ''})"
        for (norm, value), count in counts.items()
    ]
    return f"Failed, without an error: {shorten(told)}."
