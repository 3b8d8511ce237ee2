"""At which steps of a run the probes look."""

from __future__ import annotations

from collections.abc import Sequence

POINTS = 20


def steps_to_probe(total_steps: int, asked: Sequence[int] | None = None) -> list[int]:
    """`probe_steps` of the config, or 0 and 20 points from 1 to the last step, evenly on a logarithmic scale.

    Step n is the network after n training steps; those above `total_steps` never come.
    """
    if asked is None:
        asked = [0, *(round(total_steps ** (i / (POINTS - 1))) for i in range(POINTS))]
    return sorted({step for step in asked if step <= total_steps})
