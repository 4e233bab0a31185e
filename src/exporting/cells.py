"""Columns as ONNX takes them, one input each, to the raw columns that a ``Whole`` takes, in ONNX's own operations.

Numbers come as double, because a float of 1e9 has no digits left behind the point. Booleans, words and dates come as
strings, as they stand in a file, blanks around them included, which one operation of onnxruntime's own takes off: the
standard has none that can. A gap is NaN, or a word that means one; what ``predict`` would refuse becomes infinite, for
which a ``Whole`` gives NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from src.data.columns import FLAGS, GAPS
from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column

_LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = (
    rf"(?:\d{{4}}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP}-02-29)"
)
_ZONE = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_ISO = rf"{_DAY}(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{{1,6}})?)?{_ZONE}?)?"
_MONTHS = np.cumsum([0.0, 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])  # days before each, from 1 on
_MICROS = 86_400e6  # of a day
_BLANK = r"\s\v\x1c-\x1f\x{85}\pZ"  # what Arrow takes off words, in a class of RE2's
_WAYS = (str.lower, str.title, str.upper)  # in which True and False are written


class Graph:
    """Nodes and constants under names of their own.

    Args:
        prefix: that no other name in the file begins with.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its first output."""
        name = f"{self.prefix}{len(self.nodes)}"
        more = [f"{name}/count"] if kind == "StringSplit" else []
        self.nodes.append(helper.make_node(kind, inputs, [name, *more], name=name, **attributes))
        return name

    def constant(self, value: "float | int | str | np.ndarray") -> str:
        """Adds a constant, int64 where it is whole; returns its name."""
        name = f"{self.prefix}c{len(self.constants)}"
        if isinstance(value, str):
            self.constants.append(_strings(name, [value], []))
        else:
            self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def trimmed(self, text: str) -> str:
        """Strings without blanks around them; one of nothing else becomes a gap."""
        blank = self("RegexFullMatch", text, pattern=f"[{_BLANK}]*")
        text = self("Where", blank, self.constant(GAPS[1]), text)  # else no row might have a token
        once = f"(?s)[^{_BLANK}](?:.*[^{_BLANK}])?"
        more = {"mark": 0, "mincharnum": 1, "pad_value": "", "tokenexp": once}
        return self("Gather", self("Tokenizer", text, domain="com.microsoft", **more), self.constant(0), axis=-1)

    def lookup(self, text: str, values: dict[str, float], other: float) -> str:
        """Strings as numbers, double."""
        keys = _strings("keys", list(values), [len(values)])
        found = numpy_helper.from_array(np.array(list(values.values()), np.float64), "values")
        default = numpy_helper.from_array(np.array([other], np.float64), "default")
        more = {"keys_tensor": keys, "values_tensor": found, "default_tensor": default}
        return self("LabelEncoder", text, domain="ai.onnx.ml", **more)


def _strings(name: str, values: Sequence[str], shape: Sequence[int]) -> TensorProto:
    encoded: Any = [value.encode() for value in values]
    return helper.make_tensor(name, TensorProto.STRING, shape, encoded)


def raw(graph: Graph, columns: Sequence[Column], gaps: Sequence[str]) -> str:
    """The name of the matrix (rows, columns), double, of inputs (rows, 1) that are named as the columns.

    Args:
        graph: gets the nodes.
        columns: as ``Whole`` has them.
        gaps: words that mean one.
    """
    nan, parts = dict.fromkeys(gaps, np.nan), []
    for column in columns:
        if column.kind == NUMBER:
            parts.append(column.name)
            continue
        text = graph.trimmed(column.name)
        if column.kind == BOOLEAN:
            known = {way(word): value for flags in FLAGS for word, value in flags.items() for way in _WAYS}
            parts.append(graph.lookup(text, known | nan, np.inf))
        elif column.kind == CATEGORY:
            known = {value: float(place) for place, value in enumerate(column.values)}
            parts.append(graph.lookup(text, known | nan, -1.0))
        else:
            parts.append(_days(graph, text, graph.lookup(text, nan, 0.0)))
    return graph("Concat", *parts, axis=1)


def _days(graph: Graph, text: str, gap: str) -> str:
    """Days since 1970 of a date or a moment as ISO 8601 writes it, of one with an offset those of Greenwich."""
    is_date = graph("RegexFullMatch", text, pattern=_ISO)
    text = graph("Where", is_date, text, graph.constant("1970-01-01"))
    # After the day stands T or a space, or nothing.
    by_t, by_space = (_cut(graph, text, mark, 2) for mark in ("T", " "))
    with_t = graph("RegexFullMatch", text, pattern=".*T.*")
    day, time = (graph("Where", with_t, *pair) for pair in zip(by_t, by_space, strict=True))
    year, month, of_month = (_number(graph, part) for part in _cut(graph, day, "-", 3))
    time = _cut(graph, time, "Z", 1)[0]
    time, east = _cut(graph, time, "+", 2)
    time, west = _cut(graph, time, "-", 2)

    def plus(*terms: str) -> str:
        total = terms[0]
        for term in terms[1:]:
            total = graph("Add", total, term)
        return total

    def times(value: str, factor: float) -> str:
        return graph("Mul", value, graph.constant(factor))

    begin, following = (_first_day(graph, y) for y in (year, plus(year, graph.constant(1.0))))
    days = graph("Gather", graph.constant(_MONTHS), graph("Cast", month, to=TensorProto.INT64))
    leap = graph("Sub", graph("Sub", following, begin), graph.constant(365.0))
    late = graph("Cast", graph("Greater", month, graph.constant(2.0)), to=TensorProto.DOUBLE)
    whole = plus(begin, days, of_month, graph("Mul", leap, late), graph.constant(-1.0))
    seconds = graph("Sub", plus(_seconds(graph, time), _seconds(graph, west)), _seconds(graph, east))
    # As the reader of files has it: whole microseconds, divided once.
    micros = graph("Round", times(seconds, 1e6))
    found = graph("Div", plus(times(whole, _MICROS), micros), graph.constant(_MICROS))
    return plus(graph("Where", is_date, found, graph.constant(np.inf)), gap)


def _cut(graph: Graph, text: str, mark: str, parts: int) -> list[str]:
    """The first parts of strings that are cut at each mark; empty strings where there are fewer."""
    ended = graph("StringConcat", text, graph.constant(mark * (parts - 1) or mark))
    pieces = graph("StringSplit", ended, delimiter=mark)
    return [graph("Gather", pieces, graph.constant(place), axis=-1) for place in range(parts)]


def _seconds(graph: Graph, clock: str) -> str:
    """The seconds of hh:mm or hh:mm:ss.f; 0 of an empty string."""
    is_empty = graph("RegexFullMatch", clock, pattern="")
    clock = graph("StringConcat", graph("Where", is_empty, graph.constant("0:0"), clock), graph.constant(":0"))
    total = graph.constant(0.0)
    for place, seconds in enumerate((3600.0, 60.0, 1.0)):
        part = graph("Gather", graph("StringSplit", clock, delimiter=":"), graph.constant(place), axis=-1)
        total = graph("Add", total, graph("Mul", _number(graph, part), graph.constant(seconds)))
    return total


def _number(graph: Graph, text: str) -> str:
    return graph("Cast", text, to=TensorProto.DOUBLE)


def _first_day(graph: Graph, year: str) -> str:
    """Days from the first of January 1970 to that of a year, as ``src.exporting.encoding`` has it."""
    past = graph("Sub", year, graph.constant(1.0))
    total = graph("Mul", graph("Sub", year, graph.constant(1970.0)), graph.constant(365.0))
    for years, sign in ((4.0, "Add"), (100.0, "Sub"), (400.0, "Add")):
        total = graph(sign, total, graph("Floor", graph("Div", past, graph.constant(years))))
    return graph("Sub", total, graph.constant(477.0))
