"""Normalizations by name. Every module of this package registers what it defines."""

import importlib
import pkgutil

from bnrepro.norms.conversion import convert
from bnrepro.norms.population import diagnose, recompute_statistics
from bnrepro.norms.registry import (
    NORMS,
    NormLayers,
    Traits,
    build_norm,
    find_factory,
    register,
    role_of,
    traits,
    traits_of,
    with_role,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "NORMS",
    "NormLayers",
    "Traits",
    "build_norm",
    "convert",
    "diagnose",
    "find_factory",
    "recompute_statistics",
    "register",
    "role_of",
    "traits",
    "traits_of",
    "with_role",
]
