"""What a config key may name: norms, models, data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bnrepro.config.errors import UsageError

T = TypeVar("T")


class Registry(dict[str, T]):
    """Values by the names that configs, figures and the command line use for them."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        """The config key that holds such a name."""

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: add a value under `name`. Raises ValueError for a name that is taken."""

        def add(value: T) -> T:
            if name in self:
                raise ValueError(f"{self.key}={name}: is registered twice")
            self[name] = value
            return value

        return add

    def find(self, name: str) -> T:
        """The value called `name`. Raises `UsageError` with the choices."""
        if name not in self:
            raise UsageError(f"{self.key}={name}: choices: {', '.join(sorted(self))}")
        return self[name]
