"""How records stand in an event file of TensorBoard's: each with its length and two checksums.

TensorBoard's own writer of them imports its stand-in for TensorFlow, a fifteenth of a second of every plot.
"""

from __future__ import annotations

import struct

POLYNOMIAL = 0x82F63B78
"""Of CRC-32C (Castagnoli), lowest bit first: RFC 3720, section 12.1."""
MASK = 0xA282EAD8


def framed(data: bytes) -> bytes:
    """One record: length (uint64), its checksum, the data, their checksum (uint32), all little-endian."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked(length), data, _masked(data)))


def _masked(data: bytes) -> bytes:
    """The format's checksum, in which a CRC of data that hold a CRC is still a good one."""
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + MASK) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Byte by byte, with a table (Sarwate 1988)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE = [_entry(byte) for byte in range(256)]
