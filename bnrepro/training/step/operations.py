"""Listening to the operations of a step while PyTorch takes it."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """Sees every operation below autograd, in `__torch_dispatch__`, between `with` and its end."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not wrapped for PyTorch's compiler: that imports it, 900 modules and 1–5 s of every run."""
        return False
