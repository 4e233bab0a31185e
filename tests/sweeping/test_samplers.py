"""Points that depend on the number alone."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.sweeping.samplers import Grid, size
from src.sweeping.sweep import Sweep
from tests.sweeping.conftest import Open, ask, die
from tests.sweeping.test_plan import plan

SMALL = {"a": CategoricalDistribution(["x", "y"]), "b": IntDistribution(1, 3)}


def test_random_repeats_no_point_until_all_have_come() -> None:
    def points(seed: int) -> list[tuple[Any, ...]]:
        space = "model=linear,mlp", "trainer.max_epochs=range(1,4)"
        chosen = plan(*space, "hydra/sweeper/sampler=random", f"hydra.sweeper.sampler.seed={seed}").sampler
        return [tuple(chosen(number).point(number).values()) for number in range(6)]

    assert len(set(points(3))) == 6
    assert points(3) == points(3)
    assert points(4) != points(3)


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
            study = opened(name=name, limit=limit, sampler=chosen)
            while trial := ask(study):
                value = trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("y", -1, 1)
                study.tell(trial, "COMPLETE", [value], {})
        return [trial.params["x"] for trial in study.trials()]

    whole, cut = sweep("whole", [20]), sweep("cut", [7, 20])
    assert len(set(cut)) == 20
    assert cut == whole


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_what_tpe_proposes_after_a_kill_is_what_it_would_have_proposed(n_jobs: int, opened: Open) -> None:
    """Wherever the kill fell: between trials, during one, or within a batch of which some had ended."""
    chosen = plan("seed=0,1", f"hydra.sweeper.n_jobs={n_jobs}", "hydra.sweeper.sampler.seed=5")
    assert (chosen.sampler(0)._multivariate, chosen.sampler(0)._constant_liar) == (True, True)

    def sweep(name: str, kills: set[int]) -> list[float]:
        said = 0
        while True:
            study = opened(name=name, limit=32, sampler=chosen.sampler)
            study.reclaim()
            loop = Sweep.__new__(Sweep)
            loop.plan, loop.study = chosen, study
            while batch := loop._batch():
                figures = []
                for trial in batch:
                    study.propose(trial)
                    figures.append(trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("y", -1, 1))
                for trial, figure in zip(batch, figures, strict=True):
                    said += 1
                    if said in kills:
                        kills.remove(said)
                        break
                    study.tell(trial, "COMPLETE", [figure], {})
                else:
                    continue
                break
            else:
                return [trial.params["x"] for trial in study.trials()]
            die(study)

    assert sweep("cut", {14, 19, 27}) == sweep("whole", set())
