"""A user on another machine would get a traceback instead of a figure: the worst surroundings, all at once.

`tests/campaigns/surroundings.py` tries each of them, and many others, on its own.
"""

from campaigns.surroundings import ASCII, Situation, ending, file

WORST = {
    **ASCII,
    "TMPDIR": "/nonexistent",
    "HOME": "/nonexistent",
    "XDG_CACHE_HOME": None,
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MATPLOTLIBRC": "{root}/rc",
    "MPLCONFIGDIR": "/proc/matplotlib",
    "TERM": None,
    "COLUMNS": "1",
}
USETEX = file("rc", "text.usetex: true\nfont.family: nonsense\n")


def test_a_sweep_is_trained_shown_and_drawn_in_the_worst_of_surroundings():
    assert ending(Situation(WORST, USETEX), None)[0] == "good"
