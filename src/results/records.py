"""TensorBoard records of many runs at once, laid out as arrays.

The same bytes as ``events.EventFile`` writes, a run's curves in one block: every record of a block has
the same layout, so numbers and checksums of thousands are computed together. The formats are
TensorFlow's TFRecord (length, masked CRC-32C, data, masked CRC-32C) and protobuf's wire format.
"""

import struct
from collections.abc import Sequence

import numpy as np

_STEP_BYTES = 5  # a step is padded to five varint bytes, so that every record is equally long


def _crc_tables() -> tuple[np.ndarray, np.ndarray]:
    """The next state for one byte and for two."""
    one = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        one = np.where(one & 1, (one >> 1) ^ np.uint32(0x82F63B78), one >> 1).astype(np.uint32)
    pairs = np.arange(1 << 16, dtype=np.uint32)
    first = one[pairs & 0xFF]
    return one, one[(first ^ (pairs >> 8)) & 0xFF] ^ (first >> np.uint32(8))


_ONE, _TWO = _crc_tables()


def masked_crc32c(data: np.ndarray) -> np.ndarray:
    """TFRecord's checksum of each row of (rows, bytes): (rows,) uint32."""
    crc = np.full(len(data), 0xFFFFFFFF, np.uint32)
    even = data.shape[1] // 2 * 2
    for pair in np.ascontiguousarray(np.ascontiguousarray(data[:, :even]).view("<u2").T):
        crc = _TWO[(crc ^ pair) & 0xFFFF] ^ (crc >> np.uint32(16))
    if even < data.shape[1]:
        crc = _ONE[(crc ^ data[:, -1]) & 0xFF] ^ (crc >> np.uint32(8))
    crc ^= np.uint32(0xFFFFFFFF)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def frame(payloads: Sequence[bytes]) -> list[bytes]:
    """Each payload as a record; those of one length are checked together."""
    framed: list[bytes] = [b""] * len(payloads)
    lengths = np.array([len(payload) for payload in payloads])
    for length in np.unique(lengths):
        where = np.flatnonzero(lengths == length).tolist()
        data = np.frombuffer(b"".join(payloads[i] for i in where), np.uint8).reshape(len(where), length)
        head = _head(int(length))
        for index, crc in zip(where, masked_crc32c(data), strict=True):
            framed[index] = head + payloads[index] + struct.pack("<I", crc)
    return framed


def curves(steps: np.ndarray, tags: Sequence[str], values: np.ndarray, wall_time: float) -> np.ndarray:
    """Records of scalars.

    Args:
        steps: (points,) whole numbers below 2³⁵.
        tags: the figures' names.
        values: (runs, points, tags).
        wall_time: seconds since 1970, of all records.

    Returns:
        Bytes (runs, points × bytes of a record); a row is what goes into one run's event file.
    """
    runs, points, _ = values.shape
    summary = bytearray()
    holes = []
    for tag in tags:
        name = tag.encode()
        value = b"\x0a" + _varint(len(name)) + name + b"\x15"
        summary += b"\x0a" + _varint(len(value) + 4) + value
        holes.append(len(summary))
        summary += bytes(4)
    start = b"\x09" + struct.pack("<d", wall_time) + b"\x10" + bytes(_STEP_BYTES)
    start += b"\x2a" + _varint(len(summary))
    head = _head(len(start) + len(summary))
    record = np.frombuffer(head + start + bytes(summary) + bytes(4), np.uint8)
    block = np.tile(record, (runs, points, 1))
    at_step = len(head) + 10
    for place in range(_STEP_BYTES):
        more = 0x80 if place < _STEP_BYTES - 1 else 0
        block[:, :, at_step + place] = ((steps >> (7 * place)) & 0x7F) | more
    numbers = np.ascontiguousarray(values, dtype="<f4").view(np.uint8).reshape(runs, points, len(tags), 4)
    for index, hole in enumerate(holes):
        at = len(head) + len(start) + hole
        block[:, :, at : at + 4] = numbers[:, :, index]
    flat = block.reshape(runs * points, -1)
    flat[:, -4:] = masked_crc32c(flat[:, len(head) : -4]).astype("<u4").view(np.uint8).reshape(-1, 4)
    return block.reshape(runs, -1)


def _head(length: int) -> bytes:
    size = struct.pack("<Q", length)
    return size + struct.pack("<I", int(masked_crc32c(np.frombuffer(size, np.uint8)[None])[0]))


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append((number & 0x7F) | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
