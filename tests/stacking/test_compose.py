"""A configuration that took the quick way is the one that Hydra composes."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.config import resolvers
from src.config.check import check
from src.config.values import Values
from src.errors import UserError
from src.runs.folder import RunFolder
from src.stacks.compose import Composer, number_job, resolved_task
from src.stacks.group import ComposedGroup
from src.stacks.job import Job
from tests.stacking.pairs import CONF


@pytest.fixture
def loader() -> Any:
    setup_globals()
    resolvers.register()
    before = HydraConfig.instance().cfg
    yield ConfigLoaderImpl(create_config_search_path(CONF))
    HydraConfig.instance().cfg = before


def composer(loader: Any, *master: str) -> tuple[Composer, Any]:
    config = loader.load_configuration("train", list(master), RunMode.MULTIRUN)
    OmegaConf.update(config, "hydra.job.name", "train", force_add=True)
    config.hydra.job.config_name = "train"
    return Composer(loader, config), config


QUICK = [
    ["optimizer.lr=0.01", "optimizer.lr=1e-05", "optimizer.lr=1", "optimizer.lr=3E-4", "optimizer.lr=-0.5"],
    ["seed=0", "seed=17", "seed=+3"],
    ["optimizer=adam optimizer.betas=[0.9,0.99]", "optimizer=adam optimizer.betas=[0.5, 0.999]"],
    ["model=mlp model.hidden=[8]", "model=mlp model.hidden=[16,16]", "model=mlp model.hidden=[]"],
    ["model=mlp model.activation=tanh", "model=mlp model.activation=relu", "model=mlp model.activation=none"],
    ["optimizer.nesterov=true", "optimizer.nesterov=False", "optimizer.nesterov=TRUE"],
    ["data.batch_size=8", "data.batch_size=null", "data.batch_size=NULL"],
    ["data.features=[wt,hp]", "data.features=[wt]", "data.features=null"],
    [
        "scheduler=step scheduler.step_size=10 optimizer.lr=0.1",
        "scheduler=step scheduler.step_size=20 optimizer.lr=0.2",
    ],
    ["model.init.weight=1.5", "model.init.weight=null"],
    ["trainer.max_epochs=10 seed=1", "trainer.max_epochs=20 seed=2"],
    ["data.target='mpg'", "data.target='hp'", "data.target='a b'"],
]


@pytest.mark.parametrize("jobs", QUICK, ids=lambda jobs: jobs[0])
def test_quick_composition_equals_hydras(jobs: list[str], loader: Any) -> None:
    quick, master = composer(loader)
    for number, job in enumerate(jobs):
        composed = quick.compose(number, _split(job))
        own = loader.load_sweep_config(master, composed.overrides)
        number_job(own, number)
        assert OmegaConf.to_container(composed.config()) == OmegaConf.to_container(own)
        assert _types(composed.task()) == _types(resolved_task(own))
    assert len(quick._structures) == 1, "none of them took the quick way"


SLOW = [
    ["optimizer=sgd", "optimizer=adam"],  # a choice
    ["+model.extra=1", "+model.extra=2"],  # a new key
    ["~scheduler._target_", "seed=1"],  # a key taken away
    ["optimizer={lr: 0.1}", "optimizer={lr: 0.2}"],  # a mapping
    ["name=one", "name=two"],  # ${name} stands in the sweep's folder
    ["seed=1 seed=2", "seed=3 seed=4"],  # twice the same key
    ["hydra.verbose=true", "hydra.verbose=false"],  # Hydra's own
    ["optimizer.lr=${seed}", "optimizer.lr=${oc.env:HOME}"],  # an interpolation
]


@pytest.mark.parametrize("jobs", SLOW, ids=lambda jobs: jobs[0])
def test_everything_else_goes_hydras_way(jobs: list[str], loader: Any) -> None:
    quick, master = composer(loader)
    for number, job in enumerate(jobs):
        overrides = _split(job)
        try:
            own = loader.load_sweep_config(master, overrides)
        except Exception as error:
            with pytest.raises(type(error)):
                quick.compose(number, overrides)
            continue
        number_job(own, number)
        try:
            composed = quick.compose(number, overrides)
        except Exception:
            pytest.skip("does not resolve, whoever composes it")
        assert OmegaConf.to_container(composed.config()) == OmegaConf.to_container(own)
    assert len(quick._structures) >= len(jobs) - 1


def test_a_value_that_something_refers_to_goes_hydras_way(tmp_path: Path, loader: Any) -> None:
    quick, _ = composer(loader, "+extra=${optimizer.lr}")
    for number, lr in enumerate(("0.1", "0.2")):
        composed = quick.compose(number, ["+extra=${optimizer.lr}", f"optimizer.lr={lr}"])
        assert composed.task()["extra"] == float(lr)


def test_only_what_an_interpolation_names_costs_a_composition(loader: Any) -> None:
    quick, master = composer(loader, "sweep=mlp")
    for number, (depth, lr) in enumerate(((1, 0.1), (1, 0.2), (2, 0.2), (2, 0.3))):
        composed = quick.compose(number, ["sweep=mlp", f"depth={depth}", f"optimizer.lr={lr}"])
        own = loader.load_sweep_config(master, composed.overrides)
        assert _types(composed.task()) == _types(resolved_task(own))
    assert sorted(structure[1:] for structure in quick._structures) == [(), ("depth=1",), ("depth=2",)]


def test_plain_values_are_checked_like_a_configuration(loader: Any) -> None:
    """By the same function and without OmegaConf, which takes a hundred times as long."""
    quick, _ = composer(loader)
    check(Values.of(quick.compose(0, ["optimizer.lr=0.1", "trainer.max_epochs=3"]).task()))
    for wrong in ("optimizer.lr=-1.0", "data.target=???", "objective=[val/mse]", "callbacks.progress.every_n_epochs=0"):
        composed = quick.compose(1, [wrong])
        said = []
        for cfg in (OmegaConf.create(composed.task()), Values.of(composed.task())):
            with pytest.raises(UserError) as caught:
                check(cfg)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_a_thousand_jobs_are_composed_in_two_seconds(loader: Any) -> None:
    quick, _ = composer(loader)
    quick.compose(0, ["seed=0"]).task()
    started = time.process_time()
    for number in range(1024):
        check(Values.of(quick.compose(number, [f"seed={number}", f"optimizer.lr=0.{number + 1}"]).task()))
    assert time.process_time() - started < 3


def test_files_of_hydra_load_as_hydras_own(loader: Any) -> None:
    quick, master = composer(loader)
    quick.compose(0, ["optimizer.lr=0.5", "optimizer.weight_decay=0.0"])
    composed = quick.compose(7, ["optimizer.lr=1e-05", "optimizer.weight_decay=1"])
    job = Job(7, Values.of(composed.task()), RunFolder(composed.folder), composed.task_overrides)
    files = ComposedGroup([composed], None, [])._files(job)
    own = loader.load_sweep_config(master, composed.overrides)
    number_job(own, 7)
    assert yaml.safe_load(files[".hydra/config.yaml"]) == resolved_task(own)
    assert OmegaConf.create(files[".hydra/config.yaml"]) == OmegaConf.create(resolved_task(own))
    hydra = OmegaConf.to_container(OmegaConf.masked_copy(own, "hydra"), enum_to_str=True)
    hydra["hydra"]["runtime"]["output_dir"] = str(composed.folder)
    assert OmegaConf.to_container(OmegaConf.create(files[".hydra/hydra.yaml"])) == hydra
    assert OmegaConf.to_container(OmegaConf.create(files[".hydra/overrides.yaml"])) == composed.overrides


def _split(job: str) -> list[str]:
    import re

    return re.split(r" (?=[~+\w.]+=)", job)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(inner) for key, inner in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else (type(value), value)
