"""A user would press TAB for nothing, or wait a second for it."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from bnrepro.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps([name for name in ("torch", "hydra", "pandas", "numpy") if name in sys.modules]))
"""


def complete(shell: str, **words: str) -> list[str]:
    """What the shell is offered; it may not wait for anything heavy."""
    environment = {**os.environ, "_BNREPRO_COMPLETE": f"complete_{shell}", **words}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
    )
    *offered, imported = done.stdout.splitlines()
    assert json.loads(imported) == []
    return offered


def in_bash(*words: str) -> list[str]:
    """As bash calls: the words so far, of which `=` is one, with the last one unfinished."""
    return complete("bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("train", "norm", "="), {"bn", "gn", "none"}),
        (("train", "norm", "=", "bn_"), {"bn_derived", "bn_frozen", "bn_noisy", "bn_sync"}),
        (("train", "seed", "=", "1", "experiment", "=", "dig"), {"digits"}),
        (("sweep", "batch-size", "--norms", "g"), {"gn", "gn_ws"}),
        (("sweep", "batch-size", "--norms", "gn,g"), {"gn,gn_ws"}),
        (("sweep", "batch-size", "--launcher", ""), {"local", "slurm"}),
        (("sweep", "over", "--norms", "fix"), {"fixup"}),
        (("plot", "--format", "png,p"), {"png,pdf"}),
        (("plot", "--reference", "wu_he_2018_"), {"wu_he_2018_vgg16"}),
        (("list", "n"), {"norms"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bash_is_offered_the_choices(words: tuple[str, ...], offered: set[str]) -> None:
    found = in_bash("bnrepro", *words)
    assert offered <= set(found) if words[-1] in ("=", "") else offered == set(found)


def test_zsh_is_offered_whole_words_and_what_they_are() -> None:
    (line,) = complete("zsh", _TYPER_COMPLETE_ARGS="bnrepro train norm=gn_")
    assert "norm=gn_ws" in line
    assert "weight-standardized" in line
