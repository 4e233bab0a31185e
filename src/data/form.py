"""Which files a path means, and how a CSV file is written: told by its first lines, unless it is given."""

import csv
import glob
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.errors import UserError, first_line, nearest

_LOOK = 1 << 18  # bytes that are looked at
_LINE = 1 << 26  # characters of a line, of some million columns
_MARKS = ((".", ""), (",", ""), (".", ","), (",", "."))  # decimal and thousands; of equal evidence the first is taken
PACKED = (".gz", ".zst", ".bz2", ".lz4")  # ends of names of compressed files
_PARQUET = (".parquet", ".pq")
_TABLES = {".csv", ".tsv", ".txt", *_PARQUET, *PACKED}  # ends of most tables' names


@dataclass(frozen=True)
class Form:
    """How a CSV file is written; None is found by looking.

    Args:
        delimiter, quote, decimal: a character each.
        thousands: likewise; empty where there is none.
        encoding: as Python names it.
    """

    delimiter: str | None = None
    quote: str = '"'
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None

    def found(self, path: Path) -> "Form":
        """The form of a file, complete.

        Raises:
            UserError: it cannot be read, or its encoding is unknown.
        """
        try:
            with opened(path) as file:
                start: bytes = file.read(_LOOK)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None
        encoding = self.encoding or _encoding(start)
        try:
            text = start.decode(encoding, "ignore")
        except LookupError:
            raise UserError(f"data.encoding={encoding} is unknown, expected a name such as utf-8 or cp1252") from None
        if len(start) == _LOOK:  # the last line may be half of one
            text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
        delimiter = self.delimiter or _delimiter(text, self.quote)
        cells = {cell.strip() for row in _rows(text, delimiter, self.quote)[1:] for cell in row}
        cells = {cell for cell in cells if "," in cell or "." in cell}
        decimal, thousands = self.decimal or ".", self.thousands or ""
        fitting = -1
        for marks in _MARKS:
            # Between commas a decimal comma would have to be quoted: more often that is a word.
            given = self.decimal in (None, marks[0]) and self.thousands in (None, marks[1])
            if given and (delimiter != "," or marks[0] == "."):
                pattern = number_pattern(*marks)
                count = sum(pattern.fullmatch(cell) is not None for cell in cells)
                if count > fitting:
                    (decimal, thousands), fitting = marks, count
        return replace(self, delimiter=delimiter, encoding=encoding, decimal=decimal, thousands=thousands)


def number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """What a number looks like, in the syntax that Python and RE2 share."""
    point = re.escape(decimal)
    whole = rf"(\d{{1,3}}({re.escape(thousands)}\d{{3}})+|\d+)" if thousands else r"\d+"
    return re.compile(rf"[+-]?({whole}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?")


def files(path: str) -> list[Path]:
    """The files that a path or a pattern such as data/*.csv names, in the order of their names.

    Raises:
        UserError: there is none, or it is a folder, a device or a pipe.
    """
    named = Path(path).expanduser() if path.startswith("~/") else Path(path)
    try:
        exists = named.exists()
        matches = [] if exists else sorted(glob.glob(str(named)))
    except (OSError, ValueError) as error:  # a name that is too long, or has a null byte
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if not exists:
        if matches:
            return [_regular(Path(match)) for match in matches]
        ends = {*_TABLES, named.suffix.lower()}
        siblings = sorted(p.name for p in named.parent.glob("*.*") if ends & {each.lower() for each in p.suffixes})
        raise UserError(f"{path}: no such file" + (nearest(named.name, siblings) if siblings else ""))
    if named.is_dir():
        raise UserError(f"{path}: is a folder, expected a CSV file, or a pattern such as {named / '*.csv'}")
    return [_regular(named)]


def _regular(path: Path) -> Path:
    """A file that ends, and can be read twice."""
    if not path.is_file():
        raise UserError(f"{path}: is no regular file, expected a CSV or a Parquet file")
    return path


def is_parquet(path: Path) -> bool:
    """Whether a file's name ends as a Parquet file's does."""
    return path.suffix.lower() in _PARQUET


def opened(path: Path) -> Any:
    """The bytes of a file; of one compressed by gzip, zstd, bzip2 or lz4 those within."""
    import pyarrow as pa

    return pa.input_stream(str(path), compression="detect")


def is_plain(path: Path, form: Form) -> bool:
    """Whether a file may be cut where its lines end: its bytes are UTF-8 text."""
    return form.encoding in ("utf-8", "utf8") and path.suffix not in PACKED


def lines(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """The number and cells of every line that is not blank.

    Raises:
        UserError: the file is no text, or no CSV.
    """
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    try:
        with opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            rows = csv.reader(_bounded(text), delimiter=form.delimiter or ",", quotechar=form.quote)
            for cells in rows:
                if cells:
                    yield rows.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV table ({error})") from None
    except UnicodeDecodeError:
        with opened(path) as file:
            content: bytes = file.read()
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                line.decode(form.encoding or "utf-8")
            except UnicodeDecodeError as error:
                where = f"line {number}, byte {error.start + 1}: {line[error.start]:#04x}"
                raise UserError(f"{path}: is not {(form.encoding or 'utf-8').upper()} text ({where})") from None
        raise UserError(f"{path}: is not {(form.encoding or 'utf-8').upper()} text") from None


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines, none of which takes much memory."""
    while line := text.readline(_LINE):
        if len(line) == _LINE:
            raise csv.Error(f"a line has more than {_LINE >> 20} million characters")
        yield line


def _encoding(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        # A character that the end cuts is no mistake.
        start[: max(start.rfind(b"\n"), 0) if len(start) == _LOOK else None].decode("utf-8")
    except UnicodeDecodeError:
        # Western text of an older program, where nothing speaks against that; else the mistake is explained later.
        control = bytes(set(range(32)) - set(b"\t\n\r\f")) + b"\x7f\x81\x8d\x8f\x90\x9d"
        if not set(start) & set(control):
            return "cp1252"
    return "utf-8"


def _delimiter(text: str, quote: str) -> str:
    """The character at which most lines fall into as many cells as the header."""
    best, found = (0.0, 0), ","
    for delimiter in (",", ";", "\t", "|"):
        rows = _rows(text, delimiter, quote)
        width = len(rows[0]) if rows else 0
        score = (sum(len(row) == width for row in rows) / max(len(rows), 1), width)
        if width > 1 and score > best:
            best, found = score, delimiter
    return found


def _rows(text: str, delimiter: str, quote: str, most: int = 50) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote):
            if row:
                found.append(row)
            if len(found) == most:
                break
    except csv.Error:  # a null byte, say, which whoever reads the whole explains
        pass
    return found
