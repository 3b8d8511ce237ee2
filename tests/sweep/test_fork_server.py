"""Workers of a sweep, where the system puts something in their way."""

import tempfile

import pytest

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError
from bnrepro.sweep.fork_server import LONGEST, fork_server


def test_a_temporary_folder_with_too_long_a_path_is_said_in_a_line(monkeypatch):
    """A socket's path has 107 bytes: a cluster's TMPDIR may leave no room for its name."""
    longest = "/" + "ä" * (LONGEST // 2)
    monkeypatch.setattr(tempfile, "tempdir", longest + "xx")
    with pytest.raises(UsageError, match=rf"^TMPDIR=/ä+xx: .* at most {LONGEST} bytes"):
        fork_server(compose_config(["device=cpu"]), steps=1)
    monkeypatch.setattr(tempfile, "tempdir", longest[: LONGEST // 2])
    assert fork_server(compose_config(["device=cpu"]), steps=1).get_start_method() == "forkserver"
