"""`draw` in a notebook: the example of its documentation runs."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from bnrepro.analysis import draw, load_table, notebook
from bnrepro.config.errors import UsageError


def test_the_documented_example_runs(sweep, tmp_path: Path, monkeypatch) -> None:
    sweep("results/digits", batch_sizes=(1, 2, 4), seeds=(0, 1, 2))
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(notebook)
    assert results.attempted == 4
    assert not results.failed
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_part_of_a_table_keeps_what_the_caption_needs(sweep) -> None:
    table = load_table(sweep(batch_sizes=(1, 2, 4), overrides=("optimizer.base_lr=0.4",)))
    figure = draw(table[table["norm"] == "gn"], labels="names")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Group norm (8 groups)"]
    caption = " ".join(figure._supxlabel.get_text().split())
    assert "10,240 training images" in caption
    assert "Changed from experiment cifar10_quick: optimizer.base_lr=0.4." in caption


def test_a_bare_table_is_enough(sweep) -> None:
    table = load_table(sweep(batch_sizes=(1, 2, 4)))
    table.attrs.clear()
    axes = draw(table, size=(5, 3)).axes[-1]
    assert axes.get_xlabel() == "batch size (images per step, one worker)"


def test_wrong_arguments_are_named(sweep) -> None:
    table = load_table(sweep(batch_sizes=(1, 2)))
    with pytest.raises(UsageError, match="--norms=zz"):
        draw(table, norms=["zz"])
    with pytest.raises(UsageError, match="has no rows"):
        draw(table[table["norm"] == "zz"])
