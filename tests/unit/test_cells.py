"""What a spreadsheet would compute, and what a terminal would obey, is text."""

import logging

import pandas as pd
import pytest

from src.data.cells import harmless, harmless_table
from src.errors import printable

FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "＝1+1",
    "-a",
    "+49 abc",
]
TEXT = ["", "a", "a=1", "-", "+", "=", "@", "1-2", "2020-01-01", "'=1", "x\ty", "<b>"]
NUMBERS = ["-1", "+2.5", "-1e-3", "-.5", "-1,5", "-1.234,5", "-1 000", "+5 %", "-5%", "-inf", "-nan", " -3", "-1'000"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_becomes_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [*TEXT, *NUMBERS, -1.0, None, 3])
def test_what_is_none_stays_as_it_is(cell: object) -> None:
    """Negative numbers of every notation, and a mark that stands alone for a gap."""
    assert harmless(cell) is cell


def test_a_table() -> None:
    frame = pd.DataFrame({"=a": ["=1", "x", None], "-b": [-1.0, 2.0, -3.5], "c": pd.Categorical(["@x", "-1", "@x"])})
    found = harmless_table(frame)
    assert list(found) == ["'=a", "'-b", "c"]
    assert found.to_csv(index=False) == "'=a,'-b,c\n'=1,-1.0,'@x\nx,2.0,-1\n,-3.5,'@x\n"
    lists = pd.DataFrame({"hidden": [[64, 64], "=1", None]}, dtype=object)  # as a leaderboard has them
    assert harmless_table(lists)["hidden"].tolist() == [[64, 64], "'=1", None]
    assert list(frame) == ["=a", "-b", "c"], "the caller's own table changed"
    assert frame["=a"][0] == "=1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("größe 😀 price [€]\u00a0x", "größe 😀 price [€]\u00a0x"),
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("ok\r\x9b31m", "ok\\r\\x9b31m"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("a\udc80b", "a\\udc80b"),
    ],
)
def test_what_a_terminal_would_obey(text: str, said: str) -> None:
    assert printable(text) == said


def test_tables_on_a_terminal_and_lines_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    from src.adapters.rich_console import Console
    from src.errors import log_printable

    table = Table("x\x1b[31m", title="\x1b]0;owned\x07")
    table.add_row("\x9b2J")
    Console(force_terminal=True).print(table)
    out = capsys.readouterr().out
    assert "\\x1b[31m" in out
    assert "\x1b[31m" not in out
    assert "\x1b]0" not in out
    assert "\x9b" not in out
    before = logging.getLogRecordFactory()
    try:
        log_printable()
        assert logging.getLogRecordFactory()("a", 1, "b", 2, "column %s", ("\x1b[31m",), None).getMessage() == (
            "column \\x1b[31m"
        )
    finally:
        logging.setLogRecordFactory(before)


@pytest.mark.filterwarnings("error")
def test_names_in_a_picture() -> None:
    """matplotlib says of a character that it cannot draw what it is, by the character itself."""
    from src.figures.canvas import png
    from src.figures.sweep import compare_curves

    hostile = {"\x1b[2J\x07": {"epoch": [1.0, 2.0], "train/loss": [2.0, 1.0]}}
    assert png(compare_curves(hostile, "epoch")).startswith(b"\x89PNG")
