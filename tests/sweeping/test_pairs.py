"""Whether the best is better, or just ahead."""

import pytest

from src.reports.leaderboard import Row, ranked
from src.reports.pairs import compared, comparison, holm, sentences

UP = {place: float(place) for place in range(12)}
NOISE = [3.0, -2.0, 1.0, -4.0, 5.0, -6.0, 7.0, -8.0, 9.0, -10.0, 11.0, -12.0]


def folds(folder: str, shift: list[float], seed: int = 0, source: str = "a", **params: object) -> Row:
    """A run of folds whose figures are off those of ``UP``."""
    values = [place + more for place, more in enumerate(shift)]
    mean = sum(values) / len(values)
    return Row(
        folder, "completed", params, [mean], ["oof/mse"], number=int(folder), seed=seed, source=source, folds=values
    )


def test_holm_by_hand() -> None:
    """Smallest first, each times those that are left, and never below the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1, 1])
    assert holm([0.0625]) == pytest.approx([0.0625])


def test_five_folds_can_show_nothing() -> None:
    """However clear they are; it takes six for one comparison, and more where there are several."""
    best = {place: value for place, value in UP.items() if place < 5}
    worse = {place: value + 1 + place for place, value in best.items()}
    pair = compared(best, worse, 2, 1)
    assert pair is not None
    assert (pair.wins, pair.count, pair.p, pair.against) == (5, 5, 0.0625, False)
    [said] = sentences([pair], "folds", "folds={}")
    assert said.startswith("rank 1 is ahead of rank 2 in 5 of 5 folds; so few can show nothing: the smallest p of")
    assert said.endswith("signed-rank test is 0.0625; folds=6")
    third = compared(best, {**worse, 0: -1.0}, 3, 1)
    assert third is not None
    [said] = sentences([pair, third], "folds", "folds={}")
    assert said.startswith("rank 1 is ahead of ranks 2 to 3 in 4 to 5 of 5 folds")
    assert "is 0.0625, 0.125 after Holm's correction for 2; folds=7" in said


def test_what_twelve_pairs_show() -> None:
    """A shift of all is seen, noise is not, and pairs that favour the second are told from others."""
    clear = compared(UP, {place: value + 1 + place for place, value in UP.items()}, 3, 1)
    noise = compared(UP, {place: value + NOISE[place] for place, value in UP.items()}, 2, 1)
    behind = compared(UP, {place: value - 1 - place / 9 for place, value in UP.items()}, 4, 1)
    assert clear is not None
    assert noise is not None
    assert behind is not None
    said = sentences([noise, clear, behind], "folds", "")
    assert said[0] == (
        f"no evidence that rank 1 beats rank 2 (p = {noise.p:.3g}) over 12 folds: "
        "Wilcoxon's signed-rank test, Holm's correction"
    )
    assert said[1].startswith("rank 1 beats rank 3 (p = 0.00146) over 12 folds")
    assert said[2].startswith("its mean puts rank 1 first, most pairs put it behind rank 4 (p = 0.00146)")
    mirrored = compared({k: -v for k, v in UP.items()}, {k: -v - 1 - k for k, v in UP.items()}, 3, -1)
    assert mirrored is not None
    assert (mirrored.wins, mirrored.p) == (12, clear.p), "of r2 more is better"


def test_equal_pairs_are_no_evidence() -> None:
    """scipy has no p for them."""
    pair = compared(UP, dict(UP), 2, 1)
    assert pair is not None
    assert (pair.p, pair.wins) == (1.0, 0)


def test_only_the_same_rows_make_a_pair() -> None:
    """Folds of another split, of other rows or of another seed have nothing in common."""
    best, worse = folds("0", [0.0] * 12, lr=1), folds("1", [1.0 + n for n in range(12)], lr=2)
    assert comparison(ranked([best, worse], ["minimize"]), ["minimize"])
    assert comparison(ranked([best, worse], ["minimize", "minimize"]), ["minimize", "minimize"]) == []
    for other in ({"seed": 1}, {"source": "b"}, {"data.split_seed": 3}):
        worse = folds("1", [1.0 + n for n in range(12)], **{"lr": 2, **other})  # type: ignore[arg-type]
        assert comparison(ranked([best, worse], ["minimize"]), ["minimize"]) == [], other


def test_seeds_are_paired_by_seed_whatever_their_order() -> None:
    """In a spread between seeds as large as this, only pairs show what is better."""
    spread = [100.0, 3.0, 55.0, 7.0, 31.0, 80.0]
    rows = [
        Row(str(place + 6 * lr), "completed", {"lr": lr, "seed": seed}, [value + lr * (1 + seed / 10)], ["val/mse"])
        for lr in (0, 1)
        for place, (seed, value) in enumerate(sorted(enumerate(spread), reverse=bool(lr)))
    ]
    for row in rows:
        row.number, row.seed = int(row.folder), row.params["seed"]
    said = comparison(ranked(rows, ["minimize"]), ["minimize"])
    assert said == ["rank 1 beats rank 2 (p = 0.0312) over 6 seeds: Wilcoxon's signed-rank test"]
    assert comparison(ranked([row for row in rows if row.params["seed"] == 0], ["minimize"]), ["minimize"]) == []
