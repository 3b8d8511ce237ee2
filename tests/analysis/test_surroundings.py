"""Figures in any surroundings: settings of the user's matplotlib, and texts that look like something else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bnrepro.analysis.fonts import FALLBACKS, cover
from bnrepro.analysis.plot import write_plots
from bnrepro.analysis.style import drawing, render

USETEX = """
text.usetex: True
font.family: serif
lines.linewidth: 20
svg.fonttype: path
figure.dpi: 7
axes.grid: False
"""


def plotted(path: Path, out: Path, settings: dict[str, str], cwd: Path) -> dict[str, bytes]:
    """What `bnrepro plot` writes in a process of its own."""
    cwd.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "error", "-m", "bnrepro", "plot", str(path), "--out", str(out)]
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"} | settings
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in out.iterdir()}


def test_a_users_matplotlibrc_and_backend_change_nothing(sweep, tmp_path: Path) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2))
    expected = plotted(path, tmp_path / "plain", {}, tmp_path / "cwd")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "matplotlibrc").write_text(USETEX)
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "matplotlibrc").write_bytes(b"lines.linewidth: 3 # \xff\n")  # is not UTF-8: importing raises
    for name, settings, cwd in (
        ("rc", {"MATPLOTLIBRC": str(tmp_path / "settings")}, tmp_path / "cwd"),
        ("jupyter", {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, tmp_path / "cwd"),
        ("backend", {"MPLBACKEND": "there is no such backend"}, hostile),
    ):
        assert plotted(path, tmp_path / name, settings, cwd) == expected, name


def test_text_is_text_in_svg_and_fonts_are_embedded_in_pdf(sweep) -> None:
    """Journals ask for both; a search in the figure finds its words."""
    path = sweep(norms=("bn", "gn"), batch_sizes=(1, 2))
    write_plots([path], formats=["svg", "pdf"])
    assert ">Group norm (8 groups)</text>" in (path / "figure.svg").read_text()
    pdf = (path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("title", ["$\\alpha_0", r"birds_$5 ~#%&{}^\\", "<b>&amp;", "a $x^2$ b"])
def test_a_users_text_is_never_mathematics_nor_markup(title: str) -> None:
    with drawing():
        figure = Figure()
        figure.text(0.5, 0.5, title)
    assert render(figure, "png")
    (text,) = re.findall(r"<text[^>]*>(.*?)</text>", render(figure, "svg").decode(), re.DOTALL)
    assert text == title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_signs_without_a_font_are_drawn_as_frames_and_not_warned_of(sweep, tmp_path: Path) -> None:
    """As a norm whose label is Chinese; only that text gets another font."""
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "mine.yaml").write_text(
        "name: mine\nlabel: 数据\nfactory: torch.nn:Identity\n", "utf-8"
    )
    path = sweep(norms=("mine", "bn"), batch_sizes=(1, 2), config_dir=tmp_path)
    write_plots([path], formats=["png", "svg", "pdf"])
    svg = (path / "figure.svg").read_text()
    assert ">数据</text>" in svg
    usual = "'DejaVu Sans', Verdana, sans-serif"
    others = {match[1] for match in re.finditer(r"font-family: ([^;\"]*)", svg)} - {usual}
    assert len(others) == 1
    assert others.pop().startswith(f"{usual}, ")


def test_a_text_gets_the_first_installed_font_that_has_its_signs(monkeypatch) -> None:
    signs = {
        "DejaVu Sans": frozenset(map(ord, "ab")),
        FALLBACKS[0]: frozenset({0x6570}),
        FALLBACKS[1]: frozenset({0xAC00}),
    }
    monkeypatch.setattr("bnrepro.analysis.fonts._signs", lambda family: signs.get(family, frozenset()))
    monkeypatch.setattr("bnrepro.analysis.fonts._installed", lambda: frozenset(signs))
    figure = Figure()
    latin, both = figure.text(0, 0, "ab"), figure.text(0, 0, "a数가")
    cover(figure)
    assert both.get_fontfamily() == ["DejaVu Sans", FALLBACKS[0], FALLBACKS[1]]
    assert latin.get_fontfamily() != both.get_fontfamily()
