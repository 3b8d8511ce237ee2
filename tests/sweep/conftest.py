"""What the tests of plans share."""

import functools
from collections.abc import Iterator
from unittest import mock

import pytest

from bnrepro.config.compose import compose_config


@pytest.fixture(scope="module")
def composed_once() -> Iterator[None]:
    """Hydra takes a tenth of a second each time."""
    cached = functools.cache(lambda overrides, config_dir: compose_config(overrides, config_dir))
    with mock.patch("bnrepro.sweep.configs.compose_config", lambda o, directory: cached(tuple(o), directory)):
        yield
