"""kill −9 at random moments, then the same command. By hand: python tests/campaigns/kills.py [MINUTES]

A run, and a sweep with its workers, are killed again and again until they are over. Lost is a case whose
result.json or metrics.jsonl differ from those of one in one go, that does not come to its end, or that leaves
files behind which no run has.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

DIGITS = ("data.train_subset=512", "evaluation.precise_images=64", "tensorboard=false", "device=cpu")
OFTEN = "checkpoint.every_minutes=1e-9"
RUN = ("train", *DIGITS, OFTEN, "batch_size=4", "epochs=2", "norm=bn")
SWEEP = (
    *("sweep", "batch-size", *DIGITS, OFTEN, "epochs=1", "--norms", "bn,gn", "--batch-sizes", "4"),
    *("--seeds", "0", "--jobs", "2"),
)
SIGINT_ALLOWED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
PROGRAM = f"{SIGINT_ALLOWED}; from bnrepro.cli import main; main()"
MAY_DIFFER = ("_seconds", "_per_second", "memory_bytes")
MOST_KILLS = 10
"""Of one case: where they come faster than checkpoints, it would not end."""


def program(arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed(arguments: Sequence[str], directory: Path, seconds: float) -> bool:
    """Kill the program and its workers, `seconds` after it wrote something; False: it was faster."""
    before, process = newest(directory), program(arguments)
    while newest(directory) == before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    over = process.poll() is not None
    for group in {process.pid, *sessions(process.pid)}:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    return not over


def sessions(group: int) -> list[int]:
    """The process groups of its children, which workers of a sweep may have of their own."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(group):  # the session
            found.append(int(fields[2]))
    return found


def newest(directory: Path) -> int:
    times = [0]
    for path in directory.rglob("*"):
        try:
            times.append(path.stat().st_mtime_ns)
        except OSError:
            continue
    return max(times)


def record(directory: Path) -> dict:
    """All results and metrics below, without what may differ."""
    found = {}
    for path in sorted([*directory.rglob("result.json"), *directory.rglob("metrics.jsonl")]):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        found[str(path.relative_to(directory))] = [stable(json.loads(line)) for line in lines]
    return found


def stable(value):
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if not key.endswith(MAY_DIFFER)}
    return [stable(item) for item in value] if isinstance(value, list) else value


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def ending(
    arguments: Sequence[str], whole: Path, directory: Path, rng: random.Random, counts: Counter
) -> str:
    """`good`, or how it was lost."""
    for _ in range(MOST_KILLS):
        if not killed([*arguments, "--out", str(directory)], directory, rng.expovariate(2.0)):
            break
        counts["kills"] += 1
    process = program([*arguments, "--out", str(directory)])
    _, said = process.communicate()
    if process.returncode or "Traceback" in said:
        return f"exit code {process.returncode}: {said.strip().splitlines()[-1:]}"
    if record(directory) != record(whole):
        return "another result"
    return (
        "good" if names(directory) == names(whole) else f"litter: {set(names(directory)) ^ set(names(whole))}"
    )


def main(minutes: float) -> int:
    end, rng, lost = time.monotonic() + 60 * minutes, random.Random(0), 0
    with tempfile.TemporaryDirectory() as root:
        for share, (name, arguments) in zip((0.5, 1.0), (("run", RUN), ("sweep", SWEEP)), strict=True):
            whole, counts = Path(root) / f"{name}-whole", Counter()
            process = program([*arguments, "--out", str(whole)])
            assert process.wait() == 0, process.communicate()
            until = end - (1 - share) * 60 * minutes
            while time.monotonic() < until or not counts["tried"]:
                directory = Path(root) / f"{name}-{counts['tried']}"
                end_of_it = ending(arguments, whole, directory, rng, counts)
                counts.update(["tried", "good" if end_of_it == "good" else "lost"])
                if end_of_it != "good":
                    print(f"{name}: {end_of_it}", flush=True)
            print(
                f"{name}: {counts['kills']} kills in {counts['tried']} tried, {counts['good']} survived, "
                f"{counts['lost']} lost",
                flush=True,
            )
            lost += counts["lost"]
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
