"""summary.json: what a run came to, with checksums that tell a damaged file from the one that was written.

The last key holds the CRC-32 of the lines above it and of the run's other files. Whoever changes a file on purpose
removes that line; a summary without it, as an older run has, is taken as it is.
"""

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from src.errors import UserError
from src.runs.files import read_file
from src.runs.shapes import misfits
from src.secrets import masked_overrides, masked_text

_KEY = "checksums"
_ITSELF = "above"
_LAST = re.compile(rb'(?s)(.*),\n  "checksums": (\{[^{}]*\})\n\}\n')


def text_of(summary: dict[str, Any], files: Sequence[Path], folder: Path) -> str:
    """A line for each key; what is not finite becomes null, as in JSON.

    Args:
        summary: plain values.
        files: whose checksums it keeps, as far as they are there.
        folder: of the run.
    """
    kept = {key: value for key, value in summary.items() if key != _KEY}
    for key in ("command", "message", "overrides"):
        if key in kept:
            kept[key] = masked_overrides(kept[key]) if key == "overrides" else masked_text(str(kept[key]))
    if "source" in kept.get("data", {}):
        kept["data"] = kept["data"] | {"source": masked_text(str(kept["data"]["source"]))}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in _finite(kept).items()]
    above = "{\n" + ",\n".join(lines)
    sums = {_ITSELF: _hex(above.encode())}
    sums |= {_name(path, folder): _hex(path.read_bytes()) for path in files if path.is_file()}
    return f'{above},\n  "{_KEY}": {json.dumps(sums)}\n}}\n'


def read_summary(path: Path) -> dict[str, Any]:
    """The content of a summary.json, without its checksums.

    Raises:
        UserError: it is no JSON object, holds what no run writes, or is not as it was written.
    """
    return _read(path)[0]


def summary_or_nothing(path: Path) -> dict[str, Any]:
    """The same; {} where there is no such file, or none that ``read_summary`` takes."""
    with suppress(UserError):
        return read_summary(path)
    return {}


def is_as_written(summary: Path, path: Path, folder: Path) -> bool:
    """Whether the summary's checksum of a file is the file's; also where it has none.

    Raises:
        UserError: the summary is damaged.
    """
    found = _read(summary)[1].get(_name(path, folder))
    return found is None or (path.is_file() and found == _hex(path.read_bytes()))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = read_file(path)
        found = json.loads(content)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is not JSON (line {error.lineno})") from None
    except (OSError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: is not the summary of a run")
    sums = found.pop(_KEY, None)
    last = _LAST.fullmatch(content)
    if sums is not None and not (last and isinstance(sums, dict) and sums.get(_ITSELF) == _hex(last[1])):
        raise UserError(
            f"{path}: is damaged, its checksum is another one; where somebody changed it on purpose, "
            f'the line "{_KEY}" has to go'
        )
    if odd := next(misfits(found), None):
        raise UserError(f"{path}: {odd[1:]} is not what a run has there")
    return found, sums or {}


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _hex(content: bytes) -> str:
    return f"{crc32(content):08x}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
