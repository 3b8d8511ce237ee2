"""`--lockstep`: how many cells of one shape a worker trains together, as one stacked model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from bnrepro.config.errors import UsageError, one_line
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.models import has_dropout
from bnrepro.rundir.files import write_json
from bnrepro.sweep.directory import SWEEP, read_sweep
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.training.process.device import free_memory, prepare_device, resolve_device
from bnrepro.training.speed.timing import standstill_sessions, timer

OFF = 1
WARM_UP_SECONDS = 0.2
TIMED_SECONDS = 0.5


def parse_lockstep(text: str) -> int | None:
    """`auto` is None, `off` is 1. Raises `UsageError`."""
    if text == "auto":
        return None
    if text == "off":
        return OFF
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--lockstep {text}: must be auto, off or a number of cells from 1")
    return int(text)


def keep_decision(directory: Path, decided: dict[str, int]) -> dict[str, int]:
    """Write what was decided into `sweep.json`, where it is kept."""
    write_json(directory / SWEEP, {**read_sweep(directory), "lockstep": decided})
    return decided


def decide(
    plan: Plan,
    directory: Path,
    asked: int | None,
    done: Collection[str],
    say: Callable[[str], None],
    measure: bool = True,
) -> dict[str, int]:
    """The number for every shape of the plan: norm and batch size, or the norm alone (`Cell.shape`).

    What stands in `sweep.json` is kept, since training together changes the rounding; shapes with a cell in
    `done` and no number were trained one by one. What is new is as `asked`; for None it is measured on this
    machine's GPU, and 1 on the CPU, which gains nothing, and where the cells are trained elsewhere
    (`measure=False`). Raises `UsageError` where it was decided otherwise, or where the cells cannot be
    trained together.
    """
    sweep = read_sweep(directory) if (directory / SWEEP).exists() else {}
    shapes = by_shape(plan.cells)
    begun = {cell.shape: OFF for cell in plan.cells if cell.id in done}
    decided = begun | sweep.get("lockstep", {})
    if asked is not None:
        _refuse_change(directory, {shape: decided[shape] for shape in shapes if shape in decided}, asked)
    if asked not in (None, OFF) and (reason := _impossible(plan.base)):
        raise UsageError(f"--lockstep {asked}: {reason}; leave it out")
    measured = measure and asked is None and not _impossible(plan.base) and _on_gpu(plan.base)
    for shape, cells in shapes.items():
        if shape in decided:
            continue
        if measured and len(cells) > 1:
            decided[shape] = _fastest(cells, len(plan.seeds), say)
            say(f"{shape}: {decided[shape]} of {len(cells)} cells in lockstep")
        else:
            decided[shape] = asked or OFF
    return decided


def by_shape(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """The cells that can train as one, by the name of their shape."""
    shapes: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        shapes[cell.shape].append(cell)
    return shapes


def in_groups(cells: Sequence[Cell], decided: Mapping[str, int]) -> list[list[Cell]]:
    """The cells of one shape together, as many as were decided for it; where nothing was, each alone."""
    return [
        alike[first : first + decided.get(shape, OFF)]
        for shape, alike in by_shape(cells).items()
        for first in range(0, len(alike), decided.get(shape, OFF))
    ]


def _refuse_change(directory: Path, decided: Mapping[str, int], asked: int) -> None:
    if other := {number for number in decided.values() if number != asked}:
        before = "off" if other == {OFF} else ", ".join(map(str, sorted(other)))
        raise UsageError(
            f"--lockstep {asked}: cells in {directory} were trained with {before}, and it changes rounding; "
            "leave it out to go on as before, or choose another --out"
        )


def _impossible(base: RunConfig) -> str:
    """Why the cells of this config cannot be trained together, if they cannot."""
    if base.data.stream is not None:
        return f"data={base.data.name} is streamed, and every run has a stream of its own"
    if base.micro_batch_size is not None:
        return "micro_batch_size is for models that fill the memory one by one"
    if base.optimizer.name != "sgd" or base.optimizer.clip_norm is not None:
        return "optimizer=adam and optimizer.clip_norm see all parameters of a stack, not one model's"
    if base.launcher.get("nodes", 1) * base.launcher.get("tasks_per_node", 1) > 1:
        return "launcher.nodes and launcher.tasks_per_node give a cell several processes"
    if base.compile:
        return "compile=true compiles one model"
    if has_dropout(base):
        return f"model={base.model.name} has dropout, which a cell can only draw alone"
    return ""


def _on_gpu(base: RunConfig) -> bool:
    return resolve_device(base.device).type == "cuda"


def _fastest(cells: Sequence[Cell], seeds: int, say: Callable[[str], None]) -> int:
    """Of 1, 2, 4 … cells, all seeds and all of them, the number that takes the least time per model."""
    speeds: dict[int, float] = {}
    for number in sorted({*candidates(len(cells)), seeds}):
        try:
            speeds[number] = images_per_second([cell.config for cell in cells[:number]])
        except UsageError:
            raise
        except Exception as error:  # more do not fit, a cell cannot train, or this GPU was never tried
            say(one_line(f"{cells[0].shape}: {number} in lockstep: {type(error).__name__}: {error}"))
            break
        finally:
            free_memory(resolve_device(cells[0].config.device))
    return max(speeds, key=lambda number: speeds[number], default=OFF)


def candidates(most: int) -> list[int]:
    """1, 2, 4 … and `most`."""
    return sorted({*(2**power for power in range(most.bit_length())), most})


def images_per_second(configs: Sequence[RunConfig]) -> float:
    """Training images per second of cells of one shape, all of them together."""
    first = configs[0]
    sessions = standstill_sessions(configs, load_data(first.data), prepare_device(first))
    timed = timer(sessions)
    timed(WARM_UP_SECONDS)
    images, seconds = timed(TIMED_SECONDS)
    return images / seconds
