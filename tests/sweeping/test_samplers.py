"""Points that depend on the number alone."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.sweeping.samplers import Grid, Random, Reseeded, size

SMALL = {"a": CategoricalDistribution(["x", "y"]), "b": IntDistribution(1, 3)}


def test_random_repeats_no_point_until_all_have_come() -> None:
    sampler = Random(SMALL, 3)
    first = [tuple(sampler.point(number).values()) for number in range(6)]
    assert len(set(first)) == 6
    fresh = Random(SMALL, 3)
    assert tuple(fresh.point(4).values()) == first[4]
    assert [tuple(Random(SMALL, 4).point(number).values()) for number in range(6)] != first


def test_grid_counts_in_order_and_a_seed_only_reorders() -> None:
    grid = [tuple(Grid(SMALL, None).point(number).values()) for number in range(6)]
    assert grid == [("x", 1), ("x", 2), ("x", 3), ("y", 1), ("y", 2), ("y", 3)]
    mixed = [tuple(Grid(SMALL, 1).point(number).values()) for number in range(6)]
    assert sorted(mixed) == grid
    assert mixed != grid


def test_grid_refuses_an_interval() -> None:
    with pytest.raises(ValueError, match="c"):
        Grid({"c": FloatDistribution(0, 1)}, None)


@pytest.mark.parametrize(
    ("distribution", "count"),
    [
        (FloatDistribution(0, 1), float("inf")),
        (FloatDistribution(0, 0.3, step=0.1), 4),
        (IntDistribution(2, 8, step=2), 4),
    ],
)
def test_size(distribution, count: float) -> None:
    assert size({"x": distribution}) == count


@pytest.mark.parametrize(
    "make", [optuna.samplers.TPESampler, optuna.samplers.NSGAIISampler, optuna.samplers.CmaEsSampler]
)
def test_a_reopened_sampler_goes_on_where_it_stopped(make) -> None:
    """With a process-wide seed the second half would begin with the first half's points."""

    def sweep(cuts: list[int]) -> list[float]:
        storage = optuna.storages.InMemoryStorage()
        optuna.create_study(storage=storage, study_name="s")
        for trials in cuts:
            study = optuna.load_study(storage=storage, study_name="s", sampler=Reseeded(make, 5))
            for _ in range(trials):
                trial = study.ask()
                study.tell(trial, trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("y", -1, 1))
        return [trial.params["x"] for trial in study.trials]

    whole, cut = sweep([20]), sweep([7, 13])
    assert len(set(cut)) == 20
    assert cut == whole
