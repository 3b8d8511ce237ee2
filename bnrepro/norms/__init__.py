"""Normalizations by name. Every module of this package registers what it defines."""

import importlib
import pkgutil

from bnrepro.norms.registry import (
    NORMS,
    NormLayers,
    Traits,
    build_norm,
    find_factory,
    register,
    traits,
    traits_of,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["NORMS", "NormLayers", "Traits", "build_norm", "find_factory", "register", "traits", "traits_of"]
