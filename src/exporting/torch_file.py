"""A ``Whole`` as a program of torch.export, which needs torch and nothing of ours to run."""

import io
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from src.data.table import Column
from src.errors import UserError, first_line
from src.exporting.check import Predict
from src.exporting.subject import Subject
from src.exporting.whole import Whole, recoded


def made(subject: Subject) -> tuple[bytes, Predict]:
    """The file, and what it predicts once it is loaded again.

    Raises:
        UserError: as ``program``.
    """
    content = program(subject.whole, subject.described())
    loaded = torch.export.load(io.BytesIO(content)).module()

    def predict(columns: Sequence[Column], features: np.ndarray) -> np.ndarray:
        return loaded(torch.from_numpy(recoded(features, columns, subject.whole.columns))).numpy()

    return content, predict


def program(whole: Whole, said: Mapping[str, Any]) -> bytes:
    """The program, from raw columns (rows, columns) to predictions (rows, outputs), both float64.

    Args:
        whole: in evaluation mode; its docstring says what raw columns are.
        said: of the run, as ``plumbline.json`` within the file.

    Raises:
        UserError: torch cannot trace the net.
    """
    rows = torch.zeros(3, len(whole.columns), dtype=torch.float64)
    file = io.BytesIO()
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # which torch writes before it raises
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.export.export(whole, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
            torch.export.save(found, file, extra_files={"plumbline.json": json.dumps(said)})
    except Exception as error:  # whatever a net of the user's own does
        raise UserError(f"torch.export cannot trace this net ({first_line(error)})") from error
    finally:
        logging.disable(before)
    return file.getvalue()
