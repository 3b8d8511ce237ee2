"""Every file of ours × ways of damage × commands. By hand: python tests/campaigns/damaged_files.py [MINUTES]

A case is lost if the command hangs, prints a traceback or several lines about the same thing, passes a
terminal escape on, or ends with exit code 0 and another number than the undamaged directory gives. A command
runs in a process of its own, forked from one that has everything loaded. Cases come in random order, which is
always the same, until the time is over.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from damage import WAYS, damage

SECONDS = 40.0
DIGITS = ("data.train_subset=256", "evaluation.precise_images=64", "tensorboard=true", "device=cpu")
RUN = (*DIGITS, "batch_size=8", "epochs=6", "evaluation.every=1", "checkpoint.every_minutes=1e-9", "norm=bn")
SWEEP = (*DIGITS, "epochs=2", "--norms", "bn", "--batch-sizes", "16", "--seeds", "0,1", "--jobs", "2")
FILES = ("config.yaml", "overrides.txt", "env.json", "metrics.jsonl", "checkpoint.pt", "result.json")
MAY_DIFFER = ("_seconds", "_per_second", "memory_bytes")


@dataclass(frozen=True)
class Case:
    template: str
    file: str
    way: str
    command: str


@dataclass(frozen=True)
class Ended:
    code: int
    """-9: it hung."""
    out: str
    err: str


def program(arguments: list[str], folder: Path) -> Ended:
    """Run it in a forked process with its own output files."""
    out, err = folder / "out", folder / "err"
    child = start(arguments, out, err)
    code = wait(child)
    return Ended(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


def start(arguments: list[str], out: Path, err: Path) -> int:
    """The program in a forked process; its id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["bnrepro", *arguments]
    code = 1
    try:
        from bnrepro.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the stack below is the campaign's


def wait(child: int) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def stable(value):
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if not key.endswith(MAY_DIFFER)}
    return [stable(item) for item in value] if isinstance(value, list) else value


def make_templates(root: Path) -> None:
    """A run in its middle, a run that is over, and a sweep that is over."""
    interrupted = root / "interrupted"
    child = start(["train", *RUN, "--out", str(interrupted)], root / "out", root / "err")
    lines = interrupted / "metrics.jsonl"
    while not lines.exists() or lines.read_bytes().count(b"\n") < 3:
        time.sleep(0.01)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    assert not (interrupted / "result.json").exists(), "it was over before it could be interrupted"
    (interrupted / "progress.json").write_text('{"step": 99, "epoch": 4, "images_per_second": 512.0}\n')
    shutil.copytree(interrupted, root / "over")
    for arguments in (
        ["train", *RUN, "--out", str(root / "over")],
        ["sweep", "batch-size", *SWEEP, "--out", str(root / "sweep")],
        ["plot", str(root / "sweep"), "--format", "png", "--out", str(root / "drawn")],
    ):
        ended = program(arguments, root)
        assert ended.code == 0, ended.err
    (root / "sweep" / "slurm.json").write_text('{"schema": 1, "jobs": []}\n')


def cases() -> list[Case]:
    run_files = {"interrupted": (*FILES[:-1], "progress.json"), "over": FILES}
    found = [Case(t, file, way, "train") for t, files in run_files.items() for file in files for way in WAYS]
    cell_files = tuple(f"cells/bn-b16-s0/{file}" for file in FILES)
    for command in ("status", "plot", "sweep"):
        for file in (*cell_files, "sweep.json", "slurm.json"):
            found += [Case("sweep", file, way, command) for way in WAYS]
    return found


def arguments(case: Case, directory: Path) -> list[str]:
    return {
        "train": ["train", *RUN, "--out", str(directory)],
        "status": ["status", str(directory)],
        "plot": ["plot", str(directory), "--format", "png", "--out", str(directory.parent / "drawn")],
        "sweep": ["sweep", "batch-size", *SWEEP, "--out", str(directory)],
    }[case.command]


def ending(case: Case, seed: int, templates: Path, folder: Path) -> str:
    """`good`, or how it was lost."""
    directory = folder / "directory"
    shutil.copytree(templates / case.template, directory)
    damage(directory / case.file, case.way, seed)
    ended = program(arguments(case, directory), folder)
    said = ended.out + ended.err
    if ended.code == -signal.SIGKILL:
        return "hangs"
    if "Traceback" in said:
        return "traceback"
    if "\x1b]0;x" in said:
        return "terminal escape passed on"
    if ended.code == 0:
        return "good" if same_numbers(case, directory, templates, said) else "another number, exit code 0"
    about = [line for line in said.splitlines() if line.startswith("bnrepro:")]
    if ended.code < 0 or len(about) > 1:
        return f"exit code {ended.code}, {len(about)} lines"
    return "good" if said.strip() else "not a word"


def same_numbers(case: Case, directory: Path, templates: Path, said: str) -> bool:
    """What the command wrote, beside what it writes from the undamaged directory."""
    if case.command == "plot":
        found, expected = rows(directory.parent / "drawn"), rows(templates / "drawn")
        return all(row in found or row["id"] in said for row in expected) and len(found) <= len(expected)
    if case.command == "status":
        return True
    over = templates / ("over" if case.command == "train" else "sweep")
    for expected in over.rglob("result.json"):
        found = directory / expected.relative_to(over)
        if stable(json.loads(found.read_text())) != stable(json.loads(expected.read_text())):
            return False
        if case.template == "interrupted" and metrics(found.parent) != metrics(expected.parent):
            return False
    return True


def metrics(directory: Path) -> list:
    return [stable(json.loads(line)) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def rows(drawn: Path) -> list[dict[str, str]]:
    with (drawn / "table.csv").open(newline="") as file:
        return [stable(row) for row in csv.DictReader(file)]


def load_everything() -> None:
    """Once, for all the forked processes."""
    import torch

    torch.set_num_threads(1)


def main(minutes: float) -> int:
    load_everything()
    end = time.monotonic() + 60 * minutes
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    shuffled = list(enumerate(cases()))
    random.Random(0).shuffle(shuffled)
    with tempfile.TemporaryDirectory() as root:
        templates = Path(root) / "templates"
        templates.mkdir()
        make_templates(templates)
        for number, (seed, case) in enumerate(shuffled):
            if time.monotonic() > end:
                break
            folder = Path(root) / str(number)
            folder.mkdir()
            end_of_it = ending(case, seed, templates, folder)
            counts[case.command][end_of_it] += 1
            if end_of_it != "good":
                print(f"{case.command}: {case.template}/{case.file}: {case.way}: {end_of_it}", flush=True)
            shutil.rmtree(folder)
    for command, ends in counts.items():
        tried, good = sum(ends.values()), ends.pop("good", 0)
        lost = "; ".join(f"{number} {end_of_it}" for end_of_it, number in ends.most_common())
        print(f"{command}: {tried} tried, {good} survived, {tried - good} lost{': ' + lost if lost else ''}")
    return int(any(counts.values()))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
