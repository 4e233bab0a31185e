"""Cells of the CSV files that we write: text that a spreadsheet would take for a formula is marked as text.

Excel, LibreOffice and Google Sheets compute a cell that begins with one of ``= + - @``, which may start a program or
send the table away. A single quote before it makes text of it; numbers, dates and a lone mark stay as they are
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# After one of the signs something has to follow: a lone "-" is how many a table writes a gap.
_STARTS = frozenset("=+-@＝＋－＠\t\r\n ")
_FORMULA = re.compile(r"[\t\r\n ]*[=+\-@＝＋－＠](?s:.)+|[\t\r](?s:.)*")
_NUMBER = re.compile(
    r"\s*[+-]?(\d[\d.,'\u00a0\u202f ]*|[.,]\d+)([eE][+-]?\d+)?\s*%?\s*|\s*[+-](inf|infinity|nan)\s*", re.I
)


def harmless(cell: Any) -> Any:
    """A cell, of text with a quote before what would be a formula."""
    if isinstance(cell, str) and cell[:1] in _STARTS and _FORMULA.fullmatch(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def harmless_table(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A table to be written: its names and its words."""
    found = frame.copy(deep=False)
    for place in range(frame.shape[1]):
        column: Any = frame.iloc[:, place]
        if column.dtype.kind not in "iufb":
            before = column.tolist()
            cells = [harmless(cell) for cell in before]
            if any(cell is not old for cell, old in zip(cells, before, strict=True)):
                found.isetitem(place, cells)
    return found.set_axis([harmless(name) for name in frame.columns], axis=1)
