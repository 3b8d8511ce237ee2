"""A user would see a traceback, wait for minutes or lose the terminal's colours over a typing mistake."""

import override_grammar
from hypothesis import HealthCheck, given, settings

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig


@settings(max_examples=2000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(override_grammar.overrides)
def test_every_override_ends_in_a_config_or_in_one_line(override):
    try:
        config = compose_config([override])
    except UsageError as error:
        line = str(error)
        assert line.isprintable(), line
        assert 0 < len(line) <= 300, line
    else:
        assert isinstance(config, RunConfig)
