"""Checkpoint files: torch's own format, written in one atomic step."""

import copy
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.adapters.files import replace


def save(checkpoint: dict[str, Any], path: Path, durable: bool = True, keep: Path | None = None) -> None:
    """Writes a checkpoint for ``torch.load``: whoever reads the file sees the old one or the new one.

    Args:
        checkpoint: nested dicts, lists and tuples of tensors and plain values. A tensor may be a view, such as a
            member's row of a stack: the file holds the view's numbers and not those of the whole. A tensor that
            occurs twice and is no view of a larger one is one tensor when it is read, too.
        path: the file, in a folder that exists.
        durable, keep: see ``replace``.

    Raises:
        OSError: it cannot be written; an old file at ``path`` is as it was.
    """
    # Into memory first: as fast as a path, its errors are OSErrors, and the file's bytes do not depend on its name.
    buffer = io.BytesIO()
    torch.save(_compact(checkpoint), buffer)
    replace(path, buffer.getbuffer(), durable, keep)


def _compact(value: Any) -> Any:
    """The same value with tensors that share no memory with larger ones: torch saves a view's whole memory."""
    if isinstance(value, Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if isinstance(value, dict):
        # A state_dict has attributes beside its items; copy.copy keeps them.
        copied = copy.copy(value)
        for key, inner in value.items():
            copied[key] = _compact(inner)
        return copied
    if type(value) in (list, tuple):
        return type(value)(_compact(inner) for inner in value)
    return value
