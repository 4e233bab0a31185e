"""TFRecord, the file format of TensorBoard's events: records one after another, each with two checksums.

A record is the length of its data (8 bytes), the checksum of the length (4), the data, and its checksum (4), all
little-endian. Records of one length are framed together, as rows of an array.
"""

import numpy as np

_BLOCK = 256  # bytes checked at a time: a table of 256 KiB, which stays in a cache


def framed(data: np.ndarray) -> np.ndarray:
    """Records of one length.

    Args:
        data: (records, bytes) uint8, at least four bytes each.

    Returns:
        (records, bytes + 16) uint8: what goes into the file, row after row.
    """
    count, length = data.shape
    size = np.array([length], "<u8").view(np.uint8)[None]
    records = np.empty((count, length + 16), np.uint8)
    records[:, :8] = size
    records[:, 8:12] = masked_crc32c(size)
    records[:, 12:-4] = data
    records[:, -4:] = masked_crc32c(data)
    return records


def masked_crc32c(data: np.ndarray) -> np.ndarray:
    """TFRecord's checksum of each row: CRC-32C, rotated by 15 bits and shifted by a constant.

    A CRC is linear in the bits: the checksum of a row is the XOR of the checksums of its bytes, each followed by as
    many zeros as bytes follow it. ``_TABLE`` holds those, so a row is one look-up per byte and no loop over bytes.
    What has been checked before a block acts as if it stood, by XOR, in the first four bytes of the block; at the
    very beginning that is 0xFFFFFFFF.

    Args:
        data: (rows, bytes) uint8, at least four bytes each.

    Returns:
        (rows, 4) uint8, little-endian.
    """
    data = data.copy()
    data[:, :4] ^= 0xFF
    length = data.shape[1]
    crc = np.zeros(len(data), "<u4")
    for end in range((length - 1) % _BLOCK + 1, length + 1, _BLOCK):  # the first block is the one that may be short
        block = data[:, max(0, end - _BLOCK) : end]
        block[:, :4] ^= crc.view(np.uint8).reshape(-1, 4)[:, : block.shape[1]]
        crc = np.bitwise_xor.reduce(_TABLE.take(block + _ROWS[-block.shape[1] :]), axis=1)
    crc = ~crc
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return masked.astype("<u4").view(np.uint8).reshape(-1, 4)


def _table() -> np.ndarray:
    """(block × 256,): at ``256 × place + byte`` the CRC of the byte at that place of a block whose rest is zero."""
    one = np.arange(256, dtype="<u4")
    for _ in range(8):
        one = np.where(one & 1, (one >> 1) ^ np.uint32(0x82F63B78), one >> 1).astype("<u4")
    table = np.empty((_BLOCK, 256), "<u4")
    table[-1] = one
    for place in range(_BLOCK - 2, -1, -1):  # one more zero follows
        table[place] = one[table[place + 1] & 0xFF] ^ (table[place + 1] >> np.uint32(8))
    return table.reshape(-1)


_TABLE = _table()
_ROWS = np.arange(_BLOCK) * 256
