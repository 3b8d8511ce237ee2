"""A newcomer who follows one run through the program would have more and more files to open."""

from count_entered import one_run

MOST_FILES = 46
"""Whoever adds a file to the path of a plain run raises this, with the reason in the commit message."""


def test_one_run_enters_a_bounded_number_of_files():
    functions = one_run("data.train_subset=64", "batch_size=32", "tensorboard=false")
    assert "training/trainer.py" in functions
    assert len(functions) <= MOST_FILES, sorted(functions)
