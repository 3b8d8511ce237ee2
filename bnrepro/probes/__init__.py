"""Measurements inside a network while it trains. Every module of this package registers what it defines."""

import importlib
import pkgutil

from bnrepro.probes.registry import PROBES, Probe

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["PROBES", "Probe"]
