"""The source's claims about batch normalization, each with experiments, a criterion and a figure.

Every module of this package whose name starts with `claim_` registers one.
"""

import importlib
import pkgutil

from bnrepro.claims.claim import CLAIMS, Claim

for _module in pkgutil.iter_modules(__path__):
    if _module.name.startswith("claim_"):
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CLAIMS", "Claim"]
