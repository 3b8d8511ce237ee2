"""A newcomer could not read the program from the bottom up, or a quick command would wait for torch.

The graph is read from the files' text: an import inside a function counts as one at the top.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bnrepro

PACKAGE = Path(bnrepro.__file__).parent
ROOMS = (
    *("config", "rundir", "norms", "models", "data", "probes", "training", "sweep", "analysis", "bench"),
    *("claims", "cli"),
)
"""From the lowest: a room imports from the ones before it. `models` and `data` do not need each other."""
TORCH_FREE = (
    *("bnrepro.cli", "bnrepro.config.compose", "bnrepro.config.validate"),
    *("bnrepro.analysis.table", "bnrepro.analysis.plot"),
    *("bnrepro.sweep.status", "bnrepro.sweep.directory", "bnrepro.sweep.axis", "bnrepro.sweep.slurm.states"),
    *("bnrepro.training.batch_sizes", "bnrepro.training.progress"),
)
"""What `--help`, `show-config`, `plot` and `status` load, and what must stay as light as it is."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(name: str) -> set[str]:
    """The files of the package that a file names in an import, wherever that stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import; name the module in full"
            # of a package: either a module in it, or what its __init__ offers
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = members & FILES.keys()
            found |= modules | ({str(node.module)} if members - modules else set())
    if "iter_modules" in FILES[name].read_text(encoding="utf-8"):  # a package that loads all that it holds
        found |= {other for other in FILES if other.rpartition(".")[0] == name}
    return found & FILES.keys()


GRAPH = {name: imported_modules(name) - {name} for name in FILES}


def cycle_from(name: str, above: tuple[str, ...], done: set[str]) -> tuple[str, ...]:
    """The first circle that is reached from `name`; () where there is none."""
    if name in above:
        return (*above[above.index(name) :], name)
    if name in done:
        return ()
    for used in sorted(GRAPH[name]):
        if found := cycle_from(used, (*above, name), done):
            return found
    done.add(name)
    return ()


def test_no_circle_between_files():
    """Which of two files is to be read first?"""
    done: set[str] = set()
    assert [circle for name in sorted(GRAPH) if (circle := cycle_from(name, (), done))] == []


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_rooms_import_from_the_rooms_below():
    """The name of a room would not tell what may be in it."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(ROOMS)
    assert {
        f"{name} imports {used}"
        for name, uses in GRAPH.items()
        for used in uses
        if room(name) in ROOMS and room(used) in ROOMS and ROOMS.index(room(used)) > ROOMS.index(room(name))
    } == set()


def test_only_the_entry_points_import_the_command_line():
    """What commands do would only be had through the terminal."""
    users = {name for name, uses in GRAPH.items() if any(room(used) == "cli" for used in uses)}
    assert {name for name in users if room(name) != "cli"} == {"bnrepro.__main__"}


def test_nothing_is_called_utils():
    """It is where things go that nobody finds again."""
    assert [
        name for name in FILES if name.rpartition(".")[2].strip("_") in ("util", "utils", "helpers")
    ] == []


@pytest.mark.parametrize(
    "modules",
    [
        "bnrepro.rundir, bnrepro.analysis, bnrepro.sweep.status",
        ", ".join(name for name in FILES if room(name) in ("rundir", "analysis")),
        ", ".join(TORCH_FREE),
    ],
    ids=["rooms", "files", "commands"],
)
def test_what_reads_results_does_not_load_torch(modules):
    """`bnrepro status` and `plot` would take seconds to start, and need torch to be there."""
    code = f"import sys; import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
