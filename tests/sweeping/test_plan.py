"""What is refused before the first trial."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.config import resolvers
from src.errors import UserError
from src.sweeping.plan import Plan

CONF = Path(__file__).parents[2] / "conf"


def plan(*overrides: str) -> Plan:
    """The plan of ``python -m src.train -m`` with these overrides."""
    hydra = [o for o in overrides if o.startswith(("hydra.", "hydra/", "sweep=", "study."))]
    task = [o for o in overrides if o not in hydra or o.startswith(("sweep=", "study."))]
    first = ["hydra/sweeper=durable", "hydra.sweeper.study_name=s"]
    with initialize_config_dir(str(CONF)):
        config = compose("train", overrides=[*first, *hydra], return_hydra_config=True)

        def composed(lines: list[str]):
            return compose("train", overrides=[*first, *hydra, *(line for line in lines if line not in hydra)])

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


def test_identity_sees_what_decides_results_and_nothing_else() -> None:
    base = plan("optimizer.lr=0.1,0.2").identity
    assert plan("optimizer.lr=0.1,0.2", "figures=true", "hydra.sweeper.n_trials=50").identity == base
    assert plan("optimizer.lr=0.1,0.2", "trainer.max_epochs=7").identity != base
    assert plan("optimizer.lr=0.1,0.3").identity != base


@pytest.mark.parametrize("name", ["lr", "mlp", "optimizer", "seeds"])
def test_every_sweep_of_conf_is_a_plan(name: str) -> None:
    with initialize_config_dir(str(CONF)):
        found = compose("train", overrides=[f"sweep={name}"], return_hydra_config=True)
    assert OmegaConf.select(found, "hydra.sweeper.study_name") == name
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
