"""Checkpoint files read back: what is damaged, or would build more than a checkpoint holds, is refused unread.

torch.load checks no checksum, so a flipped bit would be another weight and another prediction, silently.
"""

import pickletools
import re
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

# What a pickled checkpoint may name. torch's own list is longer: a bytearray, a sparse or an empty tensor takes the
# memory that a number in the file asks for.
_NAMES = re.compile(
    r"collections (OrderedDict|Counter)|_codecs encode|(builtins|__builtin__) set"
    r"|torch (\w+Storage|Size|device|b?float\w*|u?int\w*|double|half|long|bool|complex\w*)"
    r"|torch\.storage (Typed|Untyped)Storage|torch\.nn\.parameter Parameter"
    r"|torch\._utils _rebuild_(tensor_v2|parameter(_with_state)?)"
)


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; tensors and plain values only.

    Raises:
        OSError, ValueError, BadZipFile, EOFError, RuntimeError, pickle.UnpicklingError: it is damaged, is no
            checkpoint, or names what none of ours does.
    """
    with path.open("rb") as file:
        _check(file)
        file.seek(0)
        found = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError("it holds no parts")
    if any(each.nbytes > each.untyped_storage().nbytes() for each in _tensors(found)):
        raise ValueError("a tensor has more numbers than the file")
    return found


def _check(file: IO[bytes]) -> None:
    """Compares each record of the zip with its CRC-32, and each name in the pickle with the list."""
    with ZipFile(file) as records:
        entries = records.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise BadZipFile("a record stands there twice")
        if any(entry.compress_type != ZIP_STORED for entry in entries):
            raise BadZipFile("a record is compressed, which torch never does")
        if (name := records.testzip()) is not None:
            raise BadZipFile(f"{name} is damaged")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                _check_names(records.read(entry))


def _check_names(pickled: bytes) -> None:
    for code, argument, _ in pickletools.genops(pickled):
        if ("GLOBAL" in code.name or code.name == "INST") and not _NAMES.fullmatch(str(argument)):
            raise ValueError(f"it names {argument}")


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor within, each container looked at once: a pickle may name the same one a million times."""
    found, seen, waiting = [], set[int](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, (dict, list, tuple, set)) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
    return found
