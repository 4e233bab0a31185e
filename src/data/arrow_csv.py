"""A CSV file's columns as Arrow parses them: a piece of the text in each of a few threads of ours."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.adapters.memory import check_room
from src.data.form import Form, is_plain, opened

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.csv import ReadOptions

_PIECE = 1 << 19  # bytes of text that a thread parses at a time: much beside starting, little beside a large matrix

_COPIES, _SPARE = 4, 1 << 26  # what a batch takes until it is part of a table, and what shall be left


def parsed_csv(
    path: Path, form: Form, header: list[str], kinds: dict[str, Any], gaps: Sequence[str]
) -> "Iterator[RecordBatch]":
    """The rows of columns of these kinds, with nulls for gaps in numbers.

    A row that is longer than a block has larger ones read, past those that were read. A quote, which may hold a
    newline, keeps what follows it to one thread.

    Raises:
        UserError: memory does not suffice: a few compressed bytes may be any number of rows.
    """
    import pyarrow as pa

    # Each column of a block costs a little, so that of a wide table holds more.
    size, done = _PIECE * -(-len(header) // 1000), 0
    whole = not is_plain(path, form)
    while True:
        row = 0
        try:
            for batch in _batches(path, form, header, kinds, gaps, size, whole):
                check_room(_COPIES * batch.nbytes + _SPARE, f"{path}: what follows row {row:,}")
                row += batch.num_rows
                if row > done:
                    new = batch.slice(batch.num_rows - (row - done))
                    done = row
                    yield new
            return
        except _Quoted:
            whole = True
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            if "block" not in str(error) or size > path.stat().st_size:
                raise
            size *= 8


class _Quoted(Exception):
    """A piece of a file holds a quote: lines may end within cells."""


def _batches(
    path: Path, form: Form, header: list[str], kinds: dict[str, Any], gaps: Sequence[str], size: int, whole: bool
) -> "Iterator[RecordBatch]":
    """What Arrow parses, ``whole`` by one thread, or piece by piece by one for each processor.

    Raises:
        _Quoted: at the piece that holds a quote, below the header.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    conversion = arrow.ConvertOptions(
        include_columns=list(kinds),
        column_types=kinds,
        null_values=list(gaps),
        strings_can_be_null=False,
        decimal_point=form.decimal,
    )
    parsing = {"delimiter": form.delimiter, "quote_char": form.quote}
    memory = pa.system_memory_pool()  # Arrow's own keeps what it once had

    def reading(names: list[str] | None, encoding: str = "utf8") -> "ReadOptions":
        # Without threads of Arrow's own: where torch is loaded as well, a process with them may abort when it ends.
        return arrow.ReadOptions(use_threads=False, column_names=names, block_size=2 * size, encoding=encoding)

    def parsed(text: bytes, names: list[str] | None) -> "list[RecordBatch]":
        below = text if names else re.split(rb"[\r\n]", text.lstrip(), maxsplit=1)[-1]
        if form.quote.encode() in below:
            raise _Quoted
        source = pa.BufferReader(text)
        options = reading(names), arrow.ParseOptions(**parsing), conversion, memory
        return arrow.read_csv(source, *options).to_batches()

    if whole:
        options = arrow.ParseOptions(**parsing, newlines_in_values=True)
        with opened(path) as file:
            encoding = "utf8" if form.encoding == "utf-8" else form.encoding
            yield from arrow.open_csv(file, reading(None, encoding or "utf8"), options, conversion, memory)
        return
    workers = pa.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[list[RecordBatch]]] = deque()
        for number, text in enumerate(_pieces(path, size)):
            waiting.append(pool.submit(parsed, text, header if number else None))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        for last in waiting:
            yield from last.result()


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    """The text, cut where lines end; no piece is blank."""
    with path.open("rb") as file:
        while text := file.read(size) + file.readline():
            if not text.isspace():
                yield text
