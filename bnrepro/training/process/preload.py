"""What recording a step loads, at once: for the process that workers on a CPU are forked from.

torch's tracer loads its compiler when it is first called: 900 modules, 1–5 s of every fresh worker. Not for
workers on a GPU, which must be forked from a process that has not used CUDA.
"""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

make_fx(torch.neg)(torch.zeros(1))
