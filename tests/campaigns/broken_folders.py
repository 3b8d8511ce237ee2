"""Image folders with something wrong. By hand: python tests/campaigns/broken_folders.py [MINUTES]

18 things × the side that has it × the reader: 108 cases of `bnrepro train`. A case is lost if it hangs,
prints a traceback, ends with another number of images than it has to, or is refused in other than one line
that names what is wrong. A command runs in a process of its own, forked from one that has everything loaded.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from folder_cases import CASES, READERS, SIDES, Case, expected, image_tree

SECONDS = 60.0
RUN = (
    *("model=resnet8", "epochs=1", "batch_size=4", "evaluation.every=0", "evaluation.precise_images=8"),
    *("tensorboard=false", "device=cpu"),
)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    end = time.monotonic() + 60 * minutes
    preload()
    lost: list[str] = []
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for case, side, reader in product(CASES, SIDES, READERS):
        if time.monotonic() > end:
            print(f"time is over after {tried.total()} cases")
            break
        how = attempt(case, side, reader)
        tried[reader] += 1
        survived[reader] += not how
        if how:
            lost.append(f"{case.name} in {side}/, {reader}: {how}")
    for line in lost:
        print(f"lost: {line}")
    for reader in READERS:
        print(f"{reader}: {tried[reader]} tried, {survived[reader]} survived")
    print(f"{tried.total()} tried, {survived.total()} survived, {len(lost)} lost")
    sys.exit(bool(lost))


def preload() -> None:
    import torch

    import bnrepro.training.run

    torch.set_num_threads(1)
    assert bnrepro.training.run


def attempt(case: Case, side: str, reader: str) -> str:
    """How it was lost; empty: it was not."""
    with tempfile.TemporaryDirectory() as folder:
        root = image_tree(Path(folder) / "base")
        case.break_(root, side)
        cache = f"data.cache_dir={folder}/cache"
        data = (*READERS[reader], f"data.root={root}", cache)
        code, out, err = program(["train", *data, *RUN, "--out", f"{folder}/run"], Path(folder))
        wanted = expected(case, reader, side)
        if code == -signal.SIGKILL:
            return f"hangs for {SECONDS:.0f} s"
        if "Traceback" in out + err:
            return f"traceback: {err.strip().splitlines()[-1][:100]}"
        if wanted is None:
            return refusal(case, code, out, err)
        if code != 0:
            return f"exit code {code}: {(out + err).strip()[:200]}"
        found = counted(data, Path(folder))
        return "" if found == wanted else f"{found} images instead of {wanted}"


def refusal(case: Case, code: int, out: str, err: str) -> str:
    if code == 0:
        return "trains"
    lines = [line for line in (out + err).splitlines() if case.named and case.named in line]
    if len(lines) != 1 or len(err.splitlines()) > 1:
        return f"exit code {code}, {len(err.splitlines())} lines, {len(lines)} of them name {case.named}"
    return "" if all(sign.isprintable() for sign in lines[0]) else "control characters"


def program(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `bnrepro` in a forked process."""
    child = os.fork()
    if not child:
        be_the_program(arguments, folder)
    end = time.monotonic() + SECONDS
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.02)
    texts = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    return os.waitstatus_to_exitcode(ended[1]), *texts


def be_the_program(arguments: list[str], folder: Path) -> None:
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["bnrepro", *arguments]
    code = 1
    try:
        from bnrepro.cli import main as bnrepro

        bnrepro()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        from multiprocessing.util import _exit_function

        _exit_function()  # what an exit does with loader processes
        sys.stderr.flush()
        os._exit(code)


def counted(data: tuple[str, ...], folder: Path) -> tuple[int, int]:
    """The images of both sides, from the cache that the run has left: also of a version that does not say."""
    child = os.fork()
    if not child:
        from bnrepro.config.compose import compose_config
        from bnrepro.data import load_data

        dataset = load_data(compose_config(data).data)
        (folder / "count").write_text(f"{len(dataset.train)} {len(dataset.test)}")
        os._exit(0)
    os.waitpid(child, 0)
    train, test = map(int, re.findall(r"\d+", (folder / "count").read_text()))
    return train, test


if __name__ == "__main__":
    main()
