"""Everything that a run loads, at once: for the process that workers on the CPU are forked from.

torch loads its compiler with the first optimizer: 900 modules, which took 2–5 s of every fresh worker. Not
for workers on a GPU, which must be forked from a process that has not looked at CUDA.
"""

import torch

import bnrepro.training.run  # noqa: F401

torch.optim.SGD([torch.zeros(1)], lr=0.0)
