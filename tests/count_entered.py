"""Which files and functions of the package one training enters: the size of what a newcomer has to read.

`python tests/count_entered.py [OVERRIDES]...` trains one cell (digits, ResNet-8, one epoch, on the CPU) in a
temporary directory, counts what `run()` enters with `sys.setprofile`, and prints it file by file.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

OVERRIDES = ("data=digits", "model=resnet8", "epochs=1", "device=cpu")
NOT_FUNCTIONS = ("<module>", "<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")


def entered(call: Callable[[], object]) -> dict[str, set[str]]:
    """File of the package -> the functions of it that `call` enters, in any thread."""
    import bnrepro

    package = Path(bnrepro.__file__).parent
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    functions: dict[str, set[str]] = defaultdict(set)
    for code in seen:
        path = Path(code.co_filename)
        if package in path.parents and code.co_name not in NOT_FUNCTIONS:
            functions[str(path.relative_to(package))].add(code.co_qualname)
    return dict(functions)


def one_run(*overrides: str) -> dict[str, set[str]]:
    """What one `run()` enters, from an empty run directory to `result.json`. Modules are imported before."""
    from bnrepro.config.compose import compose_config
    from bnrepro.training.run import run

    config = compose_config([*OVERRIDES, *overrides])
    with tempfile.TemporaryDirectory() as directory:
        return entered(lambda: run(config, Path(directory) / "run"))


def main() -> None:
    functions = one_run(*sys.argv[1:])
    for path, names in sorted(functions.items()):
        print(f"{path}: {', '.join(sorted(names))}")
    print(f"{len(functions)} files, {sum(map(len, functions.values()))} functions")


if __name__ == "__main__":
    main()
