"""TensorBoard would stop reading at a record whose checksum it does not believe."""

from __future__ import annotations

import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from bnrepro.rundir.event_records import crc32c, framed


def test_the_checksum_is_the_standards() -> None:
    """The check value of CRC-32C, and RFC 3720's example of 32 zeros (B.4)."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize("data", [b"", b"brain.Event:2", bytes(range(256)) * 5])
def test_a_record_is_what_tensorboard_expects(data: bytes) -> None:
    record = framed(data)
    assert record[:8] == len(data).to_bytes(8, "little")
    assert record[8:12] == masked_crc32c(record[:8]).to_bytes(4, "little")
    assert record[12:-4] == data
    assert record[-4:] == masked_crc32c(data).to_bytes(4, "little")
