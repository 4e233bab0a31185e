"""Files that a table might be in: CSV in every way to write it and Parquet of every type, some of them broken."""

import gzip
import io
from typing import Any

from hypothesis import strategies as st

WORDS = ["", "NA", "?", "a", "b", "größe", "=1+1", "-", "x y", "1-2", "nan", "inf", "-inf", "1e400", "true", "no"]
WORDS += ["\x1b[31m", "<b>", "2020-02-30", "31.12.1999", "12:30", "0x10", "1_000", "1.234,5", "'", "\u202e", "😀"]
NAMES = ["a", "b", "c d", "id", "y ", "Y", "=a", "größe", "", "1", "a.b", "[x]", "\x1b[2J", "<i>", "x" * 300, "'"]

_cells: dict[str, st.SearchStrategy[str]] = {
    "whole": st.integers(-(10**6), 10**6).map(str),
    "float": st.floats(width=32).map(str),
    "double": st.floats().map(str),
    "huge": st.integers().map(str),
    "word": st.sampled_from(WORDS),
    "text": st.text(max_size=8),
    "flag": st.sampled_from(["true", "false"]),
    "date": st.dates().map(str),
    "moment": st.datetimes().map(str),
    "same": st.just("7"),
    "money": st.floats(0, 1e6, allow_nan=False).map(lambda value: f"{value:,.2f}"),
}


@st.composite
def csv_bytes(draw: Any) -> bytes:
    """A CSV of a few columns, mostly with a target y of numbers."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=draw(st.integers(0, 19)) > 0))
    names.insert(draw(st.integers(0, len(names))), "y")
    kinds = [draw(st.sampled_from(list(_cells))) for _ in names]
    if draw(st.integers(0, 9)):
        kinds[names.index("y")] = draw(st.sampled_from(["whole", "whole", "float", "same"]))
    rows = draw(st.integers(0, 40))
    mark = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    quote = draw(st.integers(0, 3)) > 0
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]))

    def line(cells: list[str]) -> str:
        shown = ['"' + cell.replace('"', '""') + '"' if quote else cell for cell in cells]
        return mark.join(shown) + end

    gaps = draw(st.integers(0, 3)) == 0
    text = line(names)
    for _ in range(rows):
        cells = ["" if gaps and draw(st.integers(0, 4)) == 0 else draw(_cells[kind]) for kind in kinds]
        if draw(st.integers(0, 400)) == 0:
            cells = cells[:-1] if draw(st.booleans()) else [*cells, "9"]
        text += line(cells)
    encoding = draw(
        st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
    )
    return text.encode(encoding, "replace")


@st.composite
def parquet_bytes(draw: Any) -> bytes:
    """A Parquet file of columns of any type, and a target y."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rows = draw(st.integers(0, 20))

    def column(values: st.SearchStrategy[Any], kind: Any) -> Any:
        each = st.one_of(values, st.none()) if draw(st.booleans()) else values
        return pa.array(draw(st.lists(each, min_size=rows, max_size=rows)), kind)

    whole, floats = st.integers(-1000, 1000), st.floats(width=32)
    kinds: list[tuple[st.SearchStrategy[Any], Any]] = [
        (whole, pa.int64()),
        (st.integers(0, 255), pa.uint8()),
        (st.integers(0, 2**64 - 1), pa.uint64()),
        (floats, pa.float32()),
        (st.floats(width=16), pa.float16()),
        (st.booleans(), pa.bool_()),
        (st.text(max_size=5), pa.string()),
        (st.text(max_size=5), pa.large_string()),
        (st.binary(max_size=5), pa.binary()),
        (st.dates(), pa.date32()),
        (st.datetimes(), pa.timestamp("us")),
        (st.datetimes(), pa.timestamp("us", "UTC")),
        (st.integers(0, 86_399), pa.time32("s")),
        (whole, pa.duration("s")),
        (st.decimals(-999, 999, places=2), pa.decimal128(9, 2)),
        (st.lists(whole, max_size=2), pa.list_(pa.int64())),
        (st.fixed_dictionaries({"a": whole}), pa.struct([("a", pa.int64())])),
        (st.none(), pa.null()),
    ]
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    columns = {name: column(*draw(st.sampled_from(kinds))) for name in names}
    columns["y"] = column(*(kinds[0] if draw(st.integers(0, 4)) else draw(st.sampled_from(kinds))))
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, compression=draw(st.sampled_from(["none", "snappy", "zstd"])))
    return buffer.getvalue()


@st.composite
def table_file(draw: Any) -> tuple[str, bytes]:
    """A file's name and content."""
    kind = draw(st.sampled_from(["csv", "csv", "csv", "csv", "parquet", "parquet", "noise"]))
    content = draw({"csv": csv_bytes(), "parquet": parquet_bytes(), "noise": st.binary(max_size=200)}[kind])
    name = {"csv": "rows.csv", "parquet": "rows.parquet"}.get(kind) or draw(st.sampled_from(["rows.csv", "r.parquet"]))
    if kind == "csv" and draw(st.integers(0, 7)) == 0:
        name, content = draw(st.sampled_from([("rows.csv.gz", gzip.compress(content)), ("rows.tsv", content)]))
    if content and draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(content) - 1))
        damage = draw(st.sampled_from(["cut", "flip", "null"]))
        if damage == "cut":
            content = content[:place]
        else:
            byte = 0 if damage == "null" else content[place] ^ 1 << draw(st.integers(0, 7))
            content = content[:place] + bytes([byte]) + content[place + 1 :]
    return name, content
