"""A configuration that took the quick way is the one that Hydra composes."""

import re
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.adapters.hydra_compose import number_job
from src.config import resolvers
from src.config.check import check
from src.config.values import container
from src.errors import UserError
from src.secrets import masked
from src.stacks.compose import Composer, resolved_task
from src.stacks.group import HydraFiles
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
    for number, job in quick.compose(dict(enumerate(map(_split, jobs)))).items():
        assert isinstance(job, Job)
        assert job.base
        own = loader.load_sweep_config(master, job.overrides)
        number_job(own, number)
        own.hydra.runtime.output_dir = str(job.folder.path)
        assert OmegaConf.to_container(job.base.whole(job)) == OmegaConf.to_container(own)
        assert repr(job.cfg) == repr(resolved_task(own))
    assert len(quick.bases) == 1, "none of them took the quick way"


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
    for number, job in quick.compose(dict(enumerate(map(_split, jobs)))).items():
        overrides = _split(jobs[number])
        if not isinstance(job, Job):
            with pytest.raises(type(job)):
                resolved_task(loader.load_sweep_config(master, overrides))
            continue
        assert repr(job.cfg) == repr(resolved_task(loader.load_sweep_config(master, overrides)))


def test_what_a_value_moves_moves_with_it(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through interpolations, resolvers and the job's own number; into other values and into the folder."""
    monkeypatch.setattr("src.stacks.compose.check_keys", lambda config: None)  # nobody reads what is added here
    quick, _ = composer(loader, "hydra.sweep.subdir=${seed}-${hydra.job.num}-${hydra.job.override_dirname}")
    extra = ["+a=${optimizer.lr}", "+b=${a}", "+c=${hydra:job.num}", "+d='${repeat:${seed},2}'"]
    for number, job in quick.compose({n: [*extra, f"optimizer.lr=0.{n}", f"seed={n}"] for n in (3, 5, 7)}).items():
        assert isinstance(job, Job)
        lr = float(f"0.{number}")
        assert {key: job.cfg[key] for key in "abcd"} == {"a": lr, "b": lr, "c": number, "d": [number] * 2}
        assert job.folder.path.name.startswith(f"{number}-{number}-+a=")
        assert f"optimizer.lr={lr}" in job.folder.path.name
    assert len(quick.bases) == 1


def test_a_sweeps_folder_follows_a_name_that_moves(loader: Any) -> None:
    """Also where the job that is held against Hydra's own has the first one's name."""
    jobs = composer(loader)[0].compose({n: [f"name={name}"] for n, name in enumerate("aba")})
    assert [str(job.folder.path)[-3:] for job in jobs.values() if isinstance(job, Job)] == ["a/0", "b/1", "a/2"]


def test_a_thousand_widths_are_composed_once(loader: Any) -> None:
    quick, master = composer(loader, "sweep=mlp")
    jobs = {n: ["sweep=mlp", f"depth={n % 3 + 1}", f"optimizer.lr=0.{n + 1}"] for n in range(6)}
    for number, job in quick.compose(jobs).items():
        assert isinstance(job, Job)
        assert repr(job.cfg) == repr(resolved_task(loader.load_sweep_config(master, jobs[number])))
    assert len(quick.bases) == 1


def test_where_values_alone_lead_elsewhere_every_job_is_composed_in_full(
    loader: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """One job of a batch is held against Hydra's own; here Hydra's step does nothing, as a later version's might."""
    monkeypatch.setattr("src.stacks.compose.apply", lambda changes, config: None)
    jobs = {number: [f"optimizer.lr=0.{number}"] for number in (1, 2, 3)}
    found = composer(loader)[0].compose(jobs)
    assert [job.cfg.optimizer.lr for job in found.values() if isinstance(job, Job)] == [0.1, 0.2, 0.3]
    assert "composed in full" in caplog.text


def test_plain_values_are_checked_like_a_configuration(loader: Any) -> None:
    """By the same function and without OmegaConf, which takes a hundred times as long."""
    quick, _ = composer(loader)
    check(_only(quick, "optimizer.lr=0.1", "trainer.max_epochs=3").cfg)
    for wrong in ("optimizer.lr=-1.0", "data.target=???", "objective=[val/mse]", "callbacks.progress.every_n_epochs=0"):
        values = _only(quick, wrong).cfg
        said = []
        for cfg in (OmegaConf.create(container(values)), values):
            with pytest.raises(UserError) as caught:
                check(cfg)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_of_a_thousand_jobs_hydra_composes_the_first_and_a_sample(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = composer(loader)
    composed, whole = [], loader.load_sweep_config
    monkeypatch.setattr(loader, "load_sweep_config", lambda *args: composed.append(args[1]) or whole(*args))
    jobs = {number: [f"seed={number}", f"optimizer.lr=0.{number + 1}"] for number in range(1024)}
    found = [job for job in quick.compose(jobs).values() if isinstance(job, Job)]
    assert [job.cfg.seed for job in found] == list(range(1024))
    for job in found:
        check(job.cfg)
    assert composed == [jobs[0], jobs[1023]]


def test_files_of_hydra_load_as_hydras_own(loader: Any) -> None:
    quick, master = composer(loader)
    first, last = ["optimizer.lr=0.5", "optimizer.weight_decay=0.0"], ["optimizer.lr=1e-05", "optimizer.weight_decay=1"]
    job = quick.compose({0: first, 7: last})[7]
    assert isinstance(job, Job)
    files = HydraFiles()(job)
    own = loader.load_sweep_config(master, job.overrides)
    number_job(own, 7)
    assert yaml.safe_load(files[".hydra/config.yaml"]) == resolved_task(own)
    assert OmegaConf.create(files[".hydra/config.yaml"]) == OmegaConf.create(resolved_task(own))
    hydra = OmegaConf.to_container(OmegaConf.masked_copy(own, "hydra"), enum_to_str=True)
    hydra["hydra"]["runtime"]["output_dir"] = str(job.folder.path)
    assert OmegaConf.to_container(OmegaConf.create(files[".hydra/hydra.yaml"])) == masked(hydra)
    assert OmegaConf.to_container(OmegaConf.create(files[".hydra/overrides.yaml"])) == job.overrides


def _only(quick: Composer, *overrides: str) -> Job:
    (job,) = quick.compose({0: list(overrides)}).values()
    assert isinstance(job, Job)
    return job


def _split(job: str) -> list[str]:
    return re.split(r" (?=[~+\w.]+=)", job)
