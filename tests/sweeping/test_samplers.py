"""Points that depend on the number alone."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.sweeping.samplers import Grid, Random, size
from tests.sweeping.conftest import Open
from tests.sweeping.test_plan import plan

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


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "cmaes"])
def test_a_reopened_sampler_goes_on_where_it_stopped(sampler: str, opened: Open) -> None:
    """With a process-wide seed the second half would begin with the first half's points."""

    def sweep(name: str, cuts: list[int]) -> list[float]:
        for limit in cuts:
            chosen = plan("seed=0,1", f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.sampler.seed=5").sampler
            study = opened(name=name, limit=limit, sampler_of=chosen)
            while trial := study.ask():
                value = trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("y", -1, 1)
                study.tell(trial, "COMPLETE", [value], {})
        return [trial.params["x"] for trial in study.trials()]

    whole, cut = sweep("whole", [20]), sweep("cut", [7, 20])
    assert len(set(cut)) == 20
    assert cut == whole
