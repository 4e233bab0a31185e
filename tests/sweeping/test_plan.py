"""What is refused before the first trial."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.utils import instantiate

from src.config import resolvers
from src.errors import UserError
from src.sweeping.plan import Plan
from src.sweeping.search_space import SearchSpace, parse

CONF = Path(__file__).parents[2] / "conf"


def plan(*overrides: str) -> Plan:
    """The plan of ``python -m src.train -m`` with these overrides."""
    hydra = [o for o in overrides if o.startswith(("hydra.", "hydra/", "sweep=", "study."))]
    task = [o for o in overrides if o not in hydra or o.startswith(("sweep=", "study."))]
    first = ["hydra/sweeper=durable", "hydra.sweeper.study_name=s"]
    with initialize_config_dir(str(CONF)):
        config = compose("train", overrides=[*first, *hydra], return_hydra_config=True)

        def composed(lines: list[str]):
            task = [line for line in lines if line not in hydra]
            return compose("train", overrides=[*first, *hydra, *task], return_hydra_config=True)

        return Plan(config, composed, task)


@pytest.fixture(autouse=True)
def clean():
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("", "search space is empty"),
        ("optimizer.lr=0.1", "search space is empty"),
        ("optimizer.lr=interval(0.1,0.01)", r"`low <= high` must hold, but got \(low=0.1, high=0.01\)"),
        ("optimizer.lr=tag(log,interval(0,1))", "`low > 0` must hold for `log=True`"),
        ("optimizer.foo=1,2", "optimizer.foo: there is no such key"),
        ("seed=0,1 model=linear,mpl", "model=mpl: there is no such model"),
        ("seed=0,1 hydra.sweeper.n_trials=0", "n_trials must be a whole number from 1 on, found 0"),
        ("seed=0,1 hydra.sweeper.max_failure_rate=2", "max_failure_rate must be a number from 0 to 1"),
        ("seed=0,1 hydra.sweeper.direction=up", "direction must be minimize or maximize, found 'up'"),
        ("seed=0,1 objective=train/r2", "needs hydra.sweeper.direction=maximize"),
        ("seed=0,1 objective=[train/mse,train/mae]", "names 2 figures"),
        ("optimizer.lr=interval(0,1) hydra/sweeper/sampler=grid", "found the interval optimizer.lr"),
        ("seed=0,1 hydra.sweep.subdir=../${hydra.job.num}", "leads out of the sweep's folder"),
        ("seed=0,1 hydra.sweep.subdir=/tmp/${hydra.job.num}", "leads out of the sweep's folder"),
        ("seed=0,1 hydra.sweep.subdir=${seed}", "gives two jobs one folder: put \\${hydra.job.num} into it"),
        ("seed=0,1 hydra.sweeper.max_retries=-1", "max_retries must be a whole number from 0 on, found -1"),
        ("seed=0,1 hydra.sweeper.study_name=a/b", "study_name must be a name without /"),
        ("seed=0,1 hydra.sweeper.custom_search_space=src.nowhere.at_all", "custom_search_space=src.nowhere"),
        (
            "seed=0,1 hydra/sweeper/pruner=median hydra.sweeper.pruner.n_warmup_steps=-1",
            "hydra.sweeper.pruner",
        ),
        (
            "seed=0,1 hydra/sweeper/pruner=median objective=[train/mse,train/mae] "
            "hydra.sweeper.direction=[minimize,minimize]",
            "pruning needs a single objective",
        ),
    ],
)
def test_a_mistake_is_one_line(overrides: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        plan(*overrides.split())
    assert "\n" not in str(caught.value)


TEXTS = ["a b", "c=d", "a,b", "{x", "it's", "1", "null", " x", "{\\", "[1,2", "$x", "plain"]
GIVEN = ",".join(QuotedString(text, Quote.double).with_quotes() for text in TEXTS)


@pytest.mark.parametrize(
    ("choice", "values"),
    [(GIVEN, TEXTS), ("[1,2],[3]", [[1, 2], [3]]), ("a,2,0.5", ["a", 2, 0.5]), ("null,1", [None, 1])],
)
def test_values_that_need_quoting_come_to_the_job_as_they_were_given(choice: str, values: list[Any]) -> None:
    """From the command line to the distribution, to the trial's override, to the value."""
    space = parse({}, [f"name={choice}"])
    assert read(space, space.swept["name"].choices) == values


def test_values_of_a_function_that_need_quoting_are_quoted() -> None:
    """``hydra.sweeper.custom_search_space`` suggests plain values, and lists as Hydra writes them."""
    assert read(SearchSpace(), ["a,b", "{x", "choice(a,b)", "[1,2]", "a b", None, 3]) == [
        *("a,b", "{x", "choice(a,b)", [1, 2], "a b", None, 3)
    ]


def read(space: SearchSpace, values: Any) -> list[Any]:
    """What a job reads of its parameter's values."""
    lines = [space.overrides({"name": value})[-1] for value in values]
    return [OverridesParser.create().parse_override(line).value() for line in lines]


def test_a_grid_or_a_finite_random_space_bounds_the_trials() -> None:
    assert plan("optimizer.lr=0.1,0.2", "seed=range(0,3)", "hydra/sweeper/sampler=grid").limit == 6
    assert plan("optimizer.lr=0.1,0.2", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=1").limit == 2


@pytest.mark.parametrize(("length", "epochs"), [("trainer.max_epochs=50", 10), ("trainer.max_epochs=-1", 0)])
def test_median_and_percentile_leave_a_fifth_of_the_epochs_alone(length: str, epochs: int) -> None:
    resolvers.register()
    for pruner in ("median", "percentile"):
        with initialize_config_dir(str(CONF)):
            job = compose("train", ["sweep=lr", f"hydra/sweeper/pruner={pruner}", length], return_hydra_config=True)
        found = instantiate(job.hydra.sweeper.pruner, _execution_whitelist_=("optuna.pruners.*",))
        assert (found._n_warmup_steps, found._n_startup_trials) == (epochs, 3)


def test_the_fingerprint_sees_what_decides_results_and_nothing_else() -> None:
    base = plan("optimizer.lr=0.1,0.2").fingerprint
    assert plan("optimizer.lr=0.1,0.2", "figures=true", "hydra.sweeper.n_trials=50").fingerprint == base
    assert plan("optimizer.lr=0.1,0.2", "trainer.max_epochs=7").fingerprint != base
    assert plan("optimizer.lr=0.1,0.3").fingerprint != base


@pytest.mark.parametrize("name", ["lr", "mlp", "optimizer", "seeds"])
def test_every_sweep_of_conf_is_a_plan(name: str) -> None:
    assert plan(f"sweep={name}").limit >= 10


@pytest.mark.parametrize(
    ("overrides", "batch"),
    [
        ("hydra/sweeper/sampler=random hydra.sweeper.n_trials=5000", 1),
        ("hydra/launcher=stacked hydra/sweeper/sampler=random hydra.sweeper.n_trials=5000", 1024),
        ("hydra/launcher=stacked hydra/sweeper/sampler=random hydra.sweeper.n_trials=300", 300),
        ("hydra/launcher=stacked hydra/sweeper/sampler=grid seed=range(0,30) hydra.sweeper.n_trials=500", 30),
        ("hydra/launcher=stacked hydra.sweeper.n_trials=100", 6),
        ("hydra/launcher=stacked hydra.sweeper.n_trials=10", 1),
        (
            "hydra/launcher=stacked hydra/sweeper/sampler=random hydra/sweeper/pruner=median "
            "hydra.sweeper.n_trials=160",
            10,
        ),
        ("hydra/launcher=stacked hydra.launcher.batch=160 hydra.sweeper.n_trials=500", 10),
        ("hydra/launcher=stacked hydra.sweeper.n_jobs=7 hydra.sweeper.n_trials=100", 7),
    ],
)
def test_a_batch_is_what_the_launcher_takes_unless_the_sampler_learns(overrides: str, batch: int) -> None:
    space = "" if "seed=" in overrides else "optimizer.lr=interval(0.001,0.1)"
    assert plan(*overrides.split(), *space.split()).n_jobs == batch
