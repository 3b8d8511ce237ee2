"""A newcomer would type what the README says in vain; a maintainer would look for what is not there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from tiny_runs import call

from bnrepro.claims import CLAIMS
from bnrepro.claims.page import table
from bnrepro.config.paths import config_directory

ROOT = Path(__file__).parents[1]
README, ARCHITECTURE = ROOT / "README.md", ROOT / "bnrepro" / "README.md"
QUICK = [
    "data.train_subset=64",
    "epochs=1",
    "evaluation.precise_images=64",
    "tensorboard=false",
    "device=cpu",
]
"""What makes a command of the README short; it is typed as it stands otherwise."""
LONG = {"bench": "takes a minute and a half; tests/cli/test_bench_command.py runs a small one"}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(path: Path) -> list[list[str]]:
    lines = [line for block in blocks(path, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] == "bnrepro"]


def shortened(words: list[str]) -> list[str]:
    if words[1] in ("train", "sweep"):
        return [*[word for word in words if not word.startswith("epochs=")], *QUICK]
    return words


def test_every_command_of_the_readme_does_what_it_says(tmp_path, monkeypatch):
    """In the order in which they stand there, from an empty directory."""
    monkeypatch.chdir(tmp_path)
    write_files()
    ran = 0
    for words in commands(README):
        if words[1] in LONG:
            continue
        ended = call(*shortened(words)[1:])
        assert ended.code == 0, (words, ended.err)
        ran += 1
    assert ran >= 10
    sweep = tmp_path / "results" / "runs" / "digits-fixed_sgd"
    assert {"figure.png", "table.csv", "summary.csv", "effects.csv", "report.html"} <= {
        path.name for path in sweep.iterdir()
    }


def write_files() -> None:
    """The blocks that open with a file's name, written there."""
    for language in ("python", "yaml"):
        for block in blocks(README, language):
            if name := re.match(r"# (mine/\S+)\n", block):
                path = Path(name[1])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block, encoding="utf-8")


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_the_python_of_the_readme_runs(number):
    exec(compile(blocks(README, "python")[number], "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_stays_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 160


def test_every_link_and_picture_is_there():
    for page in (README, ARCHITECTURE, ROOT / "scripts" / "README.md", ROOT / "results" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_file_that_the_architecture_names_exists():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    written_by_a_run = {
        "config.yaml",
        "overrides.txt",
        "env.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "result.json",
        "error.txt",
        "probes.jsonl",
    }
    for name in re.findall(r"`([\w./-]+(?:\.(?:py|md|yaml|json|jsonl|txt|pt)|/))`", text):
        if (
            name in written_by_a_run
            or "mine" in name
            or name in ("tensorboard/", "configs/experiment/claims/")
        ):
            continue
        places = (ROOT / "bnrepro" / name, ROOT / name, ROOT / "bnrepro" / "training" / name)
        assert any(place.exists() for place in places), name


def test_every_name_that_the_architecture_uses_exists():
    files = [*(ROOT / "bnrepro").rglob("*.py"), *config_directory().rglob("*.yaml")]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for name in re.findall(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`", ARCHITECTURE.read_text(encoding="utf-8")):
        for part in name.split("."):
            assert part in sources, name


def test_every_room_stands_in_the_drawing():
    drawing = ARCHITECTURE.read_text(encoding="utf-8").split("```")[1]
    rooms = {path.name for path in (ROOT / "bnrepro").iterdir() if (path / "__init__.py").exists()}
    assert rooms == {line.split("/")[0] for line in drawing.splitlines() if re.match(r"\w+/", line)}


def test_the_readme_shows_what_was_found_of_the_claims():
    entries = json.loads((ROOT / "results" / "claims" / "claims.json").read_text())["claims"]
    assert [entry["id"] for entry in entries] == list(CLAIMS)
    assert table(entries) in README.read_text(encoding="utf-8")
