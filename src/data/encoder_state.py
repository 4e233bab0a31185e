"""Whether the state of an encoder, as a checkpoint has it, can be one: asked before anything is made of it."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from src.data import dates
from src.data.categories import MOST, ONE_HOT
from src.data.table import BOOLEAN, CATEGORY, DATE, MOMENT, NUMBER, Column
from src.errors import UserError

_SCALINGS = ("none", "standard", "robust", "quartile", "quantile")
_TARGETS = ("none", "standard", "log", "yeo-johnson")
_KNOTS = 129


def check_state(state: Any) -> None:
    """Holds what ``Encoder.state_dict`` gave against what it can give.

    Raises:
        UserError: naming the part that does not fit, and what was expected.
    """
    _keys(state, "", ("columns", "target_name", "numbers", "categories", "target"))
    columns = _list(state["columns"], "columns")
    _expect(len(columns) > 0, "columns", "at least one column")
    for place, column in enumerate(columns):
        key = f"columns.{place}"
        _keys(column, key, ("name", "kind", "gaps"))
        _expect(isinstance(column["name"], str), f"{key}.name", "a name")
        _one_of(column["kind"], f"{key}.kind", (NUMBER, BOOLEAN, CATEGORY, DATE, MOMENT))
        _expect(isinstance(column["gaps"], bool), f"{key}.gaps", "true or false")
    _expect(len({column["name"] for column in columns}) == len(columns), "columns", "different names")
    plain = [column for column in columns if column["kind"] != CATEGORY]
    width = sum(dates.width(Column(each["name"], each["kind"])) for each in plain)
    _check_numbers(state["numbers"], width, sum(each["gaps"] for each in plain))
    _check_categories(state["categories"], len(columns) - len(plain))
    _check_targets(state["target_name"], state["target"])


def _check_numbers(numbers: Any, width: int, flags: int) -> None:
    _keys(numbers, "numbers", ("scaling", "shift", "scale", "fill", "gaps", "flagged", "knots"))
    _one_of(numbers["scaling"], "numbers.scaling", _SCALINGS)
    for name in ("shift", "scale", "fill"):
        _tensor(numbers[name], f"numbers.{name}", torch.float64, (width,))
    _expect(bool((numbers["scale"] != 0).all()), "numbers.scale", "numbers other than 0")
    _tensor(numbers["gaps"], "numbers.gaps", torch.int64, (flags,))
    _expect(bool(((numbers["gaps"] >= 0) & (numbers["gaps"] < width)).all()), "numbers.gaps", "places of columns")
    _tensor(numbers["flagged"], "numbers.flagged", torch.bool, (flags,))
    knots = width if numbers["scaling"] == "quantile" else 0
    _tensor(numbers["knots"], "numbers.knots", torch.float64, (knots, _KNOTS))


def _check_categories(categories: Any, count: int) -> None:
    first = 1
    _expect(len(_list(categories, "categories")) == count, "categories", f"{count} of them")
    for place, each in enumerate(categories):
        key = f"categories.{place}"
        _keys(each, key, ("values", "columns", "entries", "first", "gap"))
        values = _list(each["values"], f"{key}.values")
        _expect(all(isinstance(value, str) for value in values), f"{key}.values", "words")
        _expect(len(set(values)) == len(values), f"{key}.values", "different words")
        _expect(isinstance(each["gap"], bool), f"{key}.gap", "true or false")
        for name, most in (("columns", ONE_HOT + 1), ("entries", MOST + 1)):
            _expect(type(each[name]) is int and 0 <= each[name] <= most, f"{key}.{name}", f"a number from 0 to {most}")
        _expect((each["columns"] == 0) != (each["entries"] == 0), key, "either columns or entries")
        room = each["columns"] - each["gap"] if each["columns"] else each["entries"] - 1
        _expect(len(values) <= room, f"{key}.values", f"{room} at most")
        _expect(type(each["first"]) is int and each["first"] == first, f"{key}.first", str(first))
        first += each["entries"]


def _check_targets(names: Any, targets: Any) -> None:
    several = isinstance(names, list)
    fits = [isinstance(name, str) for name in (names if several else [names])]
    _expect(all(fits) and len(fits) > several, "target_name", "a name, or several")
    if not several:
        return _check_target(targets, "target")
    _expect(len(set(names)) == len(names), "target_name", "different names")
    _expect(len(_list(targets, "target")) == len(names), "target", f"{len(names)} of them")
    for place, target in enumerate(targets):
        _check_target(target, f"target.{place}")


def _check_target(target: Any, key: str) -> None:
    _keys(target, key, ("kind", "shift", "scale", "center", "spread", "power"))
    _one_of(target["kind"], f"{key}.kind", _TARGETS)
    for name in ("shift", "scale", "center", "spread", "power"):
        value = target[name]
        _expect(type(value) in (int, float) and value == value, f"{key}.{name}", "a number")
        _expect(name not in ("scale", "spread") or value != 0, f"{key}.{name}", "a number other than 0")


def _keys(node: Any, key: str, names: Collection[str]) -> None:
    fits = isinstance(node, dict) and set(node) == set(names)
    _expect(fits, key or "its encoder", f"the parts {', '.join(names)}")


def _list(value: Any, key: str) -> list[Any]:
    _expect(isinstance(value, list), key, "a list")
    return value


def _one_of(value: Any, key: str, words: Collection[str]) -> None:
    _expect(isinstance(value, str) and value in words, key, f"one of {', '.join(words)}")


def _tensor(value: Any, key: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    fits = isinstance(value, Tensor) and value.dtype == dtype and tuple(value.shape) == shape
    _expect(fits, key, f"{str(dtype).removeprefix('torch.')} numbers of shape {list(shape)}")
    _expect(not bool(value.isnan().any()), key, "no NaN")


def _expect(fits: bool, key: str, expected: str) -> None:
    if not fits:
        raise UserError(f"{key}: expected {expected}")
