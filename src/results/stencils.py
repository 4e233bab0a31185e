"""Checkpoints of which thousands differ in numbers only: saved once, then filled in.

``torch.save`` costs a millisecond whatever it saves, most of it in Python. Its file is a zip archive of stored,
uncompressed records: ``data.pkl``, in which a float is eight bytes, and ``data/0``, ``data/1`` … with the bytes
of each tensor in the order in which they come. Putting other numbers there, and the checksums that follow from
them, costs a twentieth and gives the file that ``torch.save`` would have written.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_CRC_IN_DIRECTORY = 16  # bytes from the start of a record's entry in the archive's directory
_ENTRY = 46  # bytes of such an entry before its name


class Stencils:
    """Files of checkpoints that share a part.

    Args:
        common: the part that is equal in all.
    """

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._common = common
        self._made: dict[Any, _Stencil] = {}

    def file(self, own: Mapping[str, Any]) -> bytes:
        """The file of a checkpoint, ``own`` over the common part; tensors lie on the CPU, each with memory of its own.

        Nested dicts, lists and tuples of tensors and plain values.
        """
        floats: list[float] = []
        tensors: list[Tensor] = []
        shape = _take(own, floats, tensors)
        if shape not in self._made:
            self._made[shape] = _Stencil(self._common, own)
        return self._made[shape].fill(floats, tensors)


class _Stencil:
    """One file, and where its numbers stand."""

    def __init__(self, common: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        marks: list[float] = []
        buffer = io.BytesIO()
        # The own part comes first, so that its tensors are data/0, data/1 …
        marked = _marked(own, marks)
        torch.save(marked | {key: value for key, value in common.items() if key not in own}, buffer)
        self._file = buffer.getvalue()
        records = _records(self._file)
        start, end, _ = self._pickle = records["data.pkl"]
        pickled = self._file[start:end]
        self._floats = []
        for mark in marks:
            packed = b"G" + struct.pack(">d", mark)
            assert pickled.count(packed) == 1
            self._floats.append(start + pickled.index(packed) + 1)
        count = len([name for name in records if name.startswith("data/")])
        self._tensors = [records[f"data/{number}"] for number in range(count)]

    def fill(self, floats: list[float], tensors: list[Tensor]) -> bytes:
        file = bytearray(self._file)
        for place, number in zip(self._floats, floats, strict=True):
            struct.pack_into(">d", file, place, number)
        start, end, checksums = self._pickle
        _check(file, checksums, zlib.crc32(memoryview(file)[start:end]))
        for (start, end, checksums), tensor in zip(self._tensors, tensors, strict=False):
            content = tensor.numpy().tobytes()
            assert len(content) == end - start
            file[start:end] = content
            _check(file, checksums, zlib.crc32(content))
        return bytes(file)


def _check(file: bytearray, places: tuple[int, int], checksum: int) -> None:
    for place in places:
        struct.pack_into("<I", file, place, checksum)


def _records(file: bytes) -> dict[str, tuple[int, int, tuple[int, int]]]:
    """Per record of an archive where its bytes start and end, and where its checksum stands, twice."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        entry = archive.start_dir
        for info in archive.infolist():
            name, extra = struct.unpack_from("<HH", file, info.header_offset + 26)
            start = info.header_offset + 30 + name + extra
            end = start + info.file_size
            assert file[end : end + 4] == b"PK\x07\x08"  # the checksum of a record that was streamed follows it
            found[info.filename.partition("/")[2]] = (start, end, (end + 4, entry + _CRC_IN_DIRECTORY))
            entry += _ENTRY + sum(struct.unpack_from("<HHH", file, entry + 28))
    return found


def _take(value: Any, floats: list[float], tensors: list[Tensor]) -> Any:
    """Adds the numbers in a value to the lists, in order, and returns what is left of it, hashable."""
    if isinstance(value, dict):
        return tuple([(key, _take(inner, floats, tensors)) for key, inner in value.items()])
    if isinstance(value, list | tuple):
        return type(value), tuple([_take(inner, floats, tensors) for inner in value])
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.dtype, value.shape
    if type(value) is float:
        floats.append(value)
        return float
    return type(value), value


def _marked(value: Any, marks: list[float]) -> Any:
    """The same value with numbers that are found again: floats that occur once, and tensors in memory of their own."""
    if isinstance(value, dict):
        return {key: _marked(inner, marks) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_marked(inner, marks) for inner in value)
    if isinstance(value, Tensor):
        return torch.zeros(value.shape, dtype=value.dtype)
    if type(value) is float:
        marks.append(struct.unpack(">d", b"\x01PLUM" + len(marks).to_bytes(3, "big"))[0])
        return marks[-1]
    return value
