"""Ranking, and what is written down."""

import csv
import math
from pathlib import Path

import pytest

from src.reports.leaderboard import Row, print_table, ranked, table


def row(folder: str, value: float | None, status: str = "completed", **params) -> Row:
    values = [] if value is None else [value]
    return Row(folder, status, params, values, ["val/mse"], {"val/mse": value or 0.0}, 1.5, number=int(folder))


def test_best_first_and_only_whole_runs_are_ranked() -> None:
    rows = [
        row("0", 3.0),
        row("1", 0.5, "pruned"),
        row("2", math.inf, "diverged"),
        row("3", 1.0),
        row("4", None, "failed"),
    ]
    board = ranked(rows, ["minimize"])
    assert [(r.folder, r.rank) for r in board] == [("3", 1), ("0", 2), ("1", None), ("2", None), ("4", None)]
    assert [r.folder for r in ranked(rows, ["maximize"])][:2] == ["0", "3"]


def test_runs_that_differ_by_seed_are_ranked_by_their_mean() -> None:
    rows = [
        row("0", 1.0, lr=1, seed=0),
        row("1", 9.0, lr=1, seed=1),
        row("2", 4.0, lr=2, seed=0),
        row("3", 5.0, lr=2, seed=1),
    ]
    board = ranked(rows, ["minimize"])
    assert [(r.folder, r.rank) for r in board] == [("2", 1), ("3", 1), ("0", 2), ("1", 2)]
    assert (board[0].seeds, board[0].average) == (2, 4.5)
    assert math.isclose(board[0].spread or 0, math.sqrt(0.5))  # the sample's, by hand


def test_several_objectives_rank_by_pareto_front() -> None:
    rows = [Row(str(i), "completed", {}, list(v), number=i) for i, v in enumerate([(1, 5), (2, 6), (5, 1), (0, 9)])]
    board = ranked(rows, ["minimize", "minimize"])
    assert {r.folder for r in board if r.rank == 1} == {"0", "2", "3"}
    assert board[-1].folder == "1"
    assert {r.folder for r in ranked(rows, ["minimize", "maximize"]) if r.rank == 1} == {"3"}


def test_csv_has_every_run_and_says_what_became_of_it(tmp_path: Path) -> None:
    rows = [row("0", 2.0, lr=0.1), row("1", None, "failed", lr=0.2)]
    rows[1].message = "a, b\nc"
    table(ranked(rows, ["minimize"])).to_csv(tmp_path / "leaderboard.csv", index=False)
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0] | {"val/mse": "2.0"} == lines[0]
    assert (lines[0]["rank"], lines[0]["objective"], lines[0]["lr"], lines[0]["seconds"]) == (
        "1",
        "2.0",
        "0.1",
        "1.5",
    )
    assert (lines[1]["rank"], lines[1]["status"], lines[1]["message"]) == ("", "failed", "a, b\nc")


def test_table_shows_brackets_as_they_are(capsys) -> None:
    """Rich reads [64] as markup unless told otherwise."""
    print_table(ranked([row("0", 1.0, hidden="[64,64]")], ["minimize"]), "[sweep]")
    assert "hidden=[64,64]" in capsys.readouterr().out


def test_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Short names with a legend where they are shortened, 80 columns, and no number in two parts."""
    params = {
        "model.hidden": [64, 64, 64],
        "optimizer.lr": 0.0098860160337,
        "optimizer.weight_decay": 6.93368965947823e-05,
        "scheduler.gamma": 0.123456789,
        "callbacks.early_stopping.patience": 20,
        "scheduler.patience": 30,
    }
    rows = [Row(f"{n}", "completed", params, [1234.56789 + n], ["val/mse"], {}, 123.456) for n in range(12)]
    print_table(ranked(rows, ["minimize"]), "study")
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    words = said.split()
    for word in ("hidden=[64,64,64]", "lr=0.009886", "weight_decay=6.9337e-05", "early_stopping.patience=20"):
        assert words.count(word) == 10, word
    assert words.count("1234.57") == 1
    assert "lr: optimizer.lr" in " ".join(words)
    assert words.count("scheduler.patience=30") == 10  # and is not in the legend
