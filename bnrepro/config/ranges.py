"""Which values an option may have: ranges that stand in the annotations of the factory whose option it is.

`eps: Positive` in the signature of a norm's or model's factory is type and range at once, for the command
line as for `build_norm`. A user's own factory may annotate with these or with `Annotated[int, Range(2, 8)]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bnrepro.config.errors import UsageError


@dataclass(frozen=True)
class Range:
    """Bounds of a number, included or (`above`) not; texts and null are left to the type."""

    least: float | None = None
    most: float | None = None
    above: float | None = None

    def check(self, path: str, value: object) -> None:
        """Raises `UsageError` naming key, value and bounds where a number is outside of them."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return
        inside = (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
        )
        if not inside:
            raise UsageError(f"{path}={value:g}: must be {self}")

    def __str__(self) -> str:
        if self.least is not None:
            return f"{self.least:g} or more" if self.most is None else f"{self.least:g} to {self.most:g}"
        low = f"above {self.above:g}"
        return low if self.most is None else f"{low} and at most {self.most:g}"


Positive = Annotated[float, Range(above=0)]
Fraction = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(1)]
Steps = Annotated[int, Range(0)]
StepsOrNull = Annotated[int | None, Range(0)]
Groups = Annotated[int | Literal["auto"], Range(1)]
