"""Locales, places, terminals. By hand: python tests/campaigns/surroundings.py [MINUTES [SITUATION]...]

In each situation a sweep of one cell is trained, shown and drawn, each command in a fresh process. Lost is a
situation in which a command hangs, prints a traceback, or is refused where it should work; or in which the
result differs from that of ordinary surroundings.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 180.0
DIGITS = ("data.train_subset=128", "evaluation.precise_images=64", "epochs=1", "device=cpu")
SWEEP = (*DIGITS, "--norms", "bn", "--batch-sizes", "16", "--seeds", "0", "--jobs", "1")
PROGRAM = [
    sys.executable,
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from bnrepro.cli import main; main()",
]
"""As the installed script: the folder where the user stands is not searched for ours."""
MAY_DIFFER = ("_seconds", "_per_second", "memory_bytes")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@dataclass(frozen=True)
class Situation:
    """What is other than usual. `{root}` in a value is a fresh folder."""

    environment: Mapping[str, str | None] = field(default_factory=dict)
    """None: not set."""
    prepare: Callable[[Path], object] = lambda root: None
    """Makes files in the fresh folder."""
    before: Callable[[], object] = lambda: None
    """Called in the new process."""
    cwd: str = "{root}"
    out: str | bytes = "out"
    """The sweep directory."""
    refused: bool | None = False
    """Is a refusal in a line right? None: either is."""


def folder(*parts: str, mode: int = 0o755) -> Callable[[Path], object]:
    return lambda root: root.joinpath(*parts).mkdir(parents=True, mode=mode)


def file(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def shadows(root: Path) -> None:
    """Files with the names of modules and of our own."""
    for name in ("torch.py", "yaml.py", "random.py", "bnrepro.py"):
        (root / name).write_text("raise SystemExit('imported from where the user stands')\n")
    (root / "config.yaml").write_text("epochs: 1000\n")


def latin(root: Path) -> None:
    """A locale of 8-bit letters, if this system can make one."""
    made = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(root / "de_DE.ISO-8859-1")]
    subprocess.run(made, capture_output=True)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


SITUATIONS = {
    "usual": Situation(),
    "locale C, ASCII": Situation(ASCII),
    "locale C, out with letters": Situation(ASCII, out="größe 数", refused=None),
    "locale ISO-8859-1": Situation(
        {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": "{root}", "PYTHONUTF8": "0"}, latin, out="größe 数"
    ),
    "locale that is not there": Situation({"LC_ALL": "xx_YY.UTF-8"}),
    "Turkish": Situation({"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    "PYTHONIOENCODING=ascii": Situation({"PYTHONIOENCODING": "ascii"}, out="größe 数"),
    "TMPDIR with spaces": Situation({"TMPDIR": "{root}/a b ü"}, folder("a b ü")),
    "TMPDIR of 90 letters": Situation({"TMPDIR": "{root}/" + 90 * "t"}, folder(90 * "t"), refused=None),
    "TMPDIR that is not there": Situation({"TMPDIR": "/nonexistent"}),
    "no HOME": Situation({"HOME": None, "XDG_CACHE_HOME": None}),
    "HOME that is not there": Situation({"HOME": "/nonexistent", "XDG_CACHE_HOME": None}),
    "HOME where nothing can be written": Situation({"HOME": "/proc", "XDG_CACHE_HOME": None}),
    "MPLBACKEND of Jupyter": Situation({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "MPLBACKEND=TkAgg": Situation({"MPLBACKEND": "TkAgg"}),
    "MPLBACKEND of nobody": Situation({"MPLBACKEND": "nonsense"}),
    "MPLCONFIGDIR where nothing can be written": Situation({"MPLCONFIGDIR": "/proc/matplotlib"}),
    "usetex in a matplotlibrc": Situation(
        {"MATPLOTLIBRC": "{root}/rc"}, file("rc", "text.usetex: true\nfont.family: nonsense\n")
    ),
    "matplotlibrc in the folder": Situation(
        prepare=file("matplotlibrc", "savefig.dpi: 1\ntext.usetex: true\n")
    ),
    "no TERM": Situation({"TERM": None}),
    "COLUMNS=1": Situation({"COLUMNS": "1", "LINES": "1"}),
    "COLUMNS=wide": Situation({"COLUMNS": "wide"}),
    "FORCE_COLOR": Situation({"FORCE_COLOR": "1"}),
    "no PATH": Situation({"PATH": ""}),
    "TZ of nobody": Situation({"TZ": "Nowhere/At_All"}),
    "PYTHONOPTIMIZE=2": Situation({"PYTHONOPTIMIZE": "2"}),
    "PYTHONWARNINGS=error": Situation({"PYTHONWARNINGS": "error"}, refused=None),
    "PYTHONDEVMODE": Situation({"PYTHONDEVMODE": "1"}),
    "PYTHONSAFEPATH": Situation({"PYTHONSAFEPATH": "1"}),
    "OMP_NUM_THREADS=7": Situation({"OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "7"}),
    "OMP_NUM_THREADS=many": Situation({"OMP_NUM_THREADS": "many"}),
    "CUDA_VISIBLE_DEVICES=nonsense": Situation({"CUDA_VISIBLE_DEVICES": "nonsense"}),
    "HYDRA_FULL_ERROR": Situation({"HYDRA_FULL_ERROR": "1"}),
    "WORLD_SIZE left over": Situation({"WORLD_SIZE": "1", "RANK": "0"}),
    "inside a Slurm job": Situation({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}),
    "files that shadow modules": Situation(prepare=shadows),
    "umask 077": Situation(before=lambda: os.umask(0o077)),
    "umask 0": Situation(before=lambda: os.umask(0)),
    "64 open files": Situation(before=few_files, refused=None),
    "no standard input": Situation(before=lambda: os.close(0)),
    "the folder is gone": Situation(
        prepare=folder("gone"),
        before=lambda: Path.cwd().rmdir(),
        cwd="{root}/gone",
        out="{root}/out",
        refused=True,
    ),
    "out with $, % and quotes": Situation(out="a $(touch x) %d 'b' \"c\"_^{d}"),
    "out with a line break": Situation(out="two\nlines"),
    "out that is not UTF-8": Situation(out=b"\xff\xfe", refused=None),
    "out of 300 letters": Situation(out=300 * "o", refused=True),
    "out that is empty": Situation(out="", refused=None),
    "out in /proc": Situation(out="/proc/bnrepro", refused=True),
    "out that is a file": Situation(prepare=file("out", "mine\n"), refused=True),
    "out behind a link to nowhere": Situation(
        prepare=lambda root: (root / "out").symlink_to("nowhere/at/all"), refused=None
    ),
}


def ending(situation: Situation, expected: Mapping[str, object] | None) -> tuple[str, dict[str, object]]:
    """`good`, or what was lost; and the result, where there is one."""
    root = Path(tempfile.mkdtemp(prefix="surroundings-", dir="/tmp"))
    try:
        situation.prepare(root)
        out = situation.out.format(root=root) if situation.out == "{root}/out" else situation.out
        where = [b"--", os.fsencode(out)]
        sweep = call(situation, root, *map(os.fsencode, ("sweep", "batch-size", *SWEEP, "--out")), where[1])
        if wrong := fault(sweep, situation.refused):
            return f"sweep {wrong}", {}
        if sweep.returncode != 0:
            return "good", {}
        for command in ("status", "plot"):
            if wrong := fault(call(situation, root, command.encode(), *where), False):
                return f"{command} {wrong}", {}
        return compared(root, out, situation, expected)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def call(situation: Situation, root: Path, *arguments: bytes) -> subprocess.CompletedProcess[bytes]:
    environment = dict(os.environ)
    for key, value in situation.environment.items():
        environment.pop(key, None)
        if value is not None:
            environment[key] = value.replace("{root}", str(root))
    cwd = situation.cwd.format(root=root)
    Path(cwd).mkdir(exist_ok=True)
    try:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            timeout=SECONDS,
            preexec_fn=situation.before,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], -9, b"", b"hangs")


def fault(done: subprocess.CompletedProcess[bytes], refused: bool | None) -> str:
    """What is wrong with how a command ended; empty where nothing is."""
    said = done.stderr.decode(errors="replace").strip()
    last = said.splitlines()[-1] if said else ""
    if done.returncode == -9:
        return "hangs"
    if "Traceback" in said:
        return f"ends with a traceback: {last}"
    if done.returncode and refused is False:
        return f"is refused ({done.returncode}): {last}"
    if done.returncode and not last.startswith(("bnrepro: ", "failed: ")):
        return f"ends with {done.returncode} without saying why: {last}"
    if not done.returncode and refused:
        return "works, where it cannot"
    return ""


def compared(
    root: Path, out: str | bytes, situation: Situation, expected: Mapping[str, object] | None
) -> tuple[str, dict[str, object]]:
    directory = Path(situation.cwd.format(root=root)) / os.fsdecode(out)
    if directory == root and not (directory / "sweep.json").exists():
        directory = root / "results" / "runs" / "default-coupled"
    result = json.loads((directory / "cells" / "bn-b16-s0" / "result.json").read_text(encoding="utf-8"))
    stable = {key: value for key, value in result.items() if not key.endswith(MAY_DIFFER)}
    if expected and stable != expected:
        return "another result", stable
    if (directory / "figure.png").stat().st_size < 20_000:
        return "a figure with nothing on it", stable
    return "good", stable


def main(minutes: float, names: Sequence[str] = ()) -> int:
    end = time.monotonic() + 60 * minutes
    expected: dict[str, object] = {}
    tried = survived = 0
    wanted = {name: SITUATIONS[name] for name in names or SITUATIONS}
    for name, situation in wanted.items():
        if tried and time.monotonic() > end:
            break
        how, result = ending(situation, expected)
        expected = expected or result
        tried, survived = tried + 1, survived + (how == "good")
        if how != "good":
            print(f"{name}: {how}", flush=True)
    print(f"surroundings: {tried} of {len(wanted)} tried, {survived} survived, {tried - survived} lost")
    return int(survived < tried)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0, sys.argv[2:]))
