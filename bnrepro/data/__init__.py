"""Data sets by name. Every module of this package registers what it defines."""

import importlib
import pkgutil

from bnrepro.data.registry import DATA, Dataset, load_data, register
from bnrepro.data.resident import ResidentDataset, Split

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DATA", "Dataset", "ResidentDataset", "Split", "load_data", "register"]
