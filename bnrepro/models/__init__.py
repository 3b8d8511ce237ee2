"""Networks by name; each takes a norm. Every module of this package registers what it defines."""

import importlib
import pkgutil

from bnrepro.models.registry import (
    MODELS,
    build_model,
    check_network,
    has_dropout,
    is_from_outside,
    residual_blocks,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["MODELS", "build_model", "check_network", "has_dropout", "is_from_outside", "residual_blocks"]
