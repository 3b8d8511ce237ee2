"""From a config to its data set."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from bnrepro.config.schema import DataConfig
from bnrepro.data.own import load_own
from bnrepro.data.registry import DATA, Dataset
from bnrepro.data.subset import balanced_subset


@lru_cache(maxsize=4)
def load_data(config: DataConfig) -> Dataset:
    """The data set that `config` describes, its training set cut to `config.train_subset`.

    Kept per process: the next cell of a sweep in the same worker costs nothing. Files that change under
    a running process are seen by the next one. Raises `UsageError` for what the user can repair.
    """
    dataset = DATA.find(config.name)(config) if config.factory is None else load_own(config)
    if config.task == "parity":
        dataset = dataset.parity()
    if config.train_subset is None:
        return dataset
    indices = balanced_subset(dataset.train.labels, config.train_subset, config.subset_seed)
    return replace(dataset, train=dataset.train.take(indices))
