"""Each check fires where it should and is silent where it should not; each code has its chapter."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.checks import rows, search, training
from src.checks.codes import TITLES, checked, fired
from src.checks.search import Space
from src.errors import UserError
from tests.commands import Call

RANDOM = np.random.default_rng(0)
EVEN = np.linspace(0, 1, 200)
NOISE = RANDOM.normal(size=200)
WIDE = RANDOM.normal(size=(200, 2))


def overfit(train: float, val: float, held: int) -> str | None:
    return training.overfitting({"train/mse": train, "val/mse": val}, {"val": held})


def against(own: float, boosting: float) -> str | None:
    return training.no_better(
        {"train/rmse": 1.0, "val/mse": own**2, "val/rmse": own}, {"boosting": {"val/rmse": boosting}}
    )


def improving(last: float, status: str = "completed") -> str | None:
    return training.still_improving([*np.linspace(2, 1, 90), *np.linspace(1, last, 10)], "val/mse", status)


def best_at(value: float, **space: float) -> str | None:
    return search.at_edge({"lr": value}, {"lr": Space(**space)}, 20)


def close(apart: float, held: int) -> str | None:
    own = {"val/mse": 1.0, "val/rmse": 1.0}
    return training.too_few(own, {"ridge": {"val/rmse": 1 + apart}}, {"val": held})


def drifted(shift: float, share: float) -> str | None:
    random = np.random.default_rng(1)
    words = [random.choice(2, 500, p=[each, 1 - each]) for each in (0.5, share)]
    numbers = [random.normal(each, 1, 500) for each in (0, shift)]
    one, two = (np.column_stack([number, word]) for number, word in zip(numbers, words, strict=True))
    return rows.drift(one, two, ["number", "word"], [False, True], "test")


Answer = Callable[[], str | None]

CASES: dict[str, list[tuple[Answer, str | None]]] = {
    "P01": [
        (lambda: overfit(1.0, 9.0, 100), "val/rmse 3 is 3 times the train/rmse 1"),
        (lambda: overfit(1.0, 1.9, 100), None),
        (lambda: overfit(1.0, 3.0, 2), None),  # 2 standard errors of 2 rows are 200 %
        (lambda: training.overfitting({"train/mse": 1.0}, {}), None),
    ],
    "P02": [
        (lambda: training.underfitting({"train/r2": 0.05}), "hardly better than the mean"),
        (lambda: training.underfitting({"train/r2": -1.0}), "worse than the mean"),
        (lambda: training.underfitting({"train/r2": 0.2}), None),
        (lambda: training.underfitting({"train/r2": None}), None),  # a constant target has none
    ],
    "P03": [
        (lambda: against(2.0, 1.5), "boosting has less error than this model: val/rmse 1.5 against 2"),
        (lambda: against(1.0, 1.5), None),
        (lambda: training.no_better({"train/rmse": 2.0}, {"ridge": {"train/rmse": 1.0}}), None),
    ],
    "P04": [
        (lambda: best_at(0.0999, low=0.001, high=0.1, log=True), "upper end of 0.001 to 0.1: widen it up, to 10 say"),
        (lambda: best_at(0.00101, low=0.001, high=0.1, log=True), "lower end of 0.001 to 0.1: widen it down, to 1e-05"),
        (lambda: best_at(0.01, low=0.001, high=0.1, log=True), None),
        (lambda: best_at(0.01, low=0.001, high=1), "lower end of 0.001 to 1: widen it down, to 0.0005"),
        (lambda: best_at(0.0, low=0, high=0.3), None),  # there is nothing below 0
        (lambda: best_at(1, low=1, high=3), None),  # nor is there half a layer
        (lambda: best_at(3, low=3, high=7), "lower end of 3 to 7: widen it down, to 1 say"),
        (lambda: best_at(128, choices=(32, 64, 128)), "upper end of 32 to 128"),
        (lambda: best_at(64, choices=(32, 64, 128)), None),
        (lambda: best_at("tanh", choices=("relu", "gelu", "tanh")), None),
        (lambda: search.at_edge({"lr": 1.0}, {"lr": Space(0, 1)}, 3), None),  # too few to tell
    ],
    "P05": [
        (lambda: improving(0.9), "val/mse fell by 10.0% in the last tenth of the epochs"),
        (lambda: improving(0.999), None),
        (lambda: improving(0.9, "stopped early"), None),
    ],
    "P06": [
        (lambda: close(0.05, 30), "30 rows know it to about ±26%"),
        (lambda: close(0.5, 30), None),
        (lambda: search.too_few("val/mse", [1.0, 1.05, 3.0], 100), "2 runs are within that of the best (number 2 by"),
        (lambda: search.too_few("val/mse", [1.0, 1.5], 100), None),
        (lambda: search.too_few("val/r2", [0.9, 0.895], 100), "2 runs"),
        (lambda: search.too_few("val/r2", [0.9, 0.5], 100), None),
    ],
    "P07": [
        (lambda: rows.pattern(EVEN, EVEN + 0.1 * NOISE), "trend with the prediction (rank correlation +"),
        (lambda: rows.pattern(EVEN, (EVEN - 0.5) ** 2 + 0.01 * NOISE), "bend"),
        (lambda: rows.pattern(EVEN, EVEN * NOISE), "fan out"),
        (lambda: rows.pattern(EVEN, NOISE), None),
    ],
    "P08": [
        (lambda: rows.nearly_target(WIDE, 3 * WIDE[:, 1] + 1, ["a", "b"], [False, False]), "target: b (1.0000)"),
        (lambda: rows.nearly_target(np.exp(WIDE), WIDE[:, 0], ["a", "b"], [False, False]), "target: a (1.0000)"),
        (lambda: rows.nearly_target(WIDE, WIDE.sum(axis=1), ["a", "b"], [False, False]), None),
        (lambda: rows.nearly_target(np.arange(200)[:, None] % 4, np.arange(200) % 4, ["w"], [True]), "w (1.0000)"),
        (lambda: rows.nearly_target(np.arange(200.0)[:, None], NOISE, ["id"], [True]), None),  # of a row each
    ],
    "P09": [
        (lambda: rows.repeated(WIDE, WIDE[:5], "test"), "5 of 5 test rows are among the training rows"),
        (lambda: rows.repeated(WIDE[5:], WIDE[:5], "test"), None),
        (lambda: rows.repeated(WIDE, np.concatenate([WIDE[:1], WIDE + 9]), "test"), None),  # less than a hundredth
    ],
    "P10": [
        (lambda: drifted(1.0, 0.5), "distributed otherwise than training rows in number (0."),
        (lambda: drifted(0.0, 0.9), "in word (0."),
        (lambda: drifted(0.0, 0.5), None),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"), [pytest.param(*case, id=f"{code}-{n}") for code in CASES for n, case in enumerate(CASES[code])]
)
def test_what_a_check_says(answer: Answer, said: str | None) -> None:
    found = answer()
    assert (found is None) if said is None else (found is not None and said in found), found


def test_each_check_is_tried_both_ways_and_has_its_chapter() -> None:
    text = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    chapters = dict(re.findall(r"^## (P\d\d)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    assert list(chapters) == list(TITLES) == list(CASES)
    for code, title in TITLES.items():
        assert title.lower() in chapters[code].lower(), f"{code} is called otherwise in docs/checks.md"
        assert all(f"*{part}*" in chapters[code] for part in ("Why it matters.", "What to do.", "How it is computed."))
        assert {said is None for _, said in CASES[code]} == {True, False}


def test_findings_come_by_code_without_those_to_ignore() -> None:
    answers = {"P06": "few", "P01": "over", "P02": None, "P03": "line"}
    assert [str(found) for found in fired(answers, ["P03"])] == [
        "P01 overfitting: over",
        "P06 too few rows for the differences shown: few",
    ]


def test_a_code_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="'P3' is none; did you mean 'P03'"):
        checked(["P01", "P3"])
    with pytest.raises(UserError, match="a list of codes"):
        checked("P01")


def test_a_run_ends_with_its_findings(call: Call) -> None:
    short = ("trainer.max_epochs=10", "optimizer.lr=0.001")
    out = call("train", *short).out
    assert "P02 underfitting: train/r2 -" in out
    assert "P05 still improving at the end: train/loss fell by" in out
    out = call("train", *short, "checks.ignore=[P02]").out
    assert "P02" not in out
    assert "P05" in out
    refused = call("train", *short, "checks.ignore=[P22]")
    assert refused.code == 2
    assert refused.lines[0].startswith(
        "checks.ignore must be a list of codes of checks, and 'P22' is none; did you mean 'P02'?"
    )
