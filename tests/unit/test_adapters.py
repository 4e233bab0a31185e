"""What other libraries do not offer publicly is still there, and still does what we take it for.

Each test names the versions that its adapter was written for: where a newer one fails here, that adapter is to be
read again, and the docstring says what breaks meanwhile.
"""

import gc
import io
import logging
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from src.adapters import hydra_compose, hydra_run, omegaconf_yaml, optuna_internals, optuna_sweeper
from src.adapters.garbage import seldom
from src.adapters.torch_scheduler import as_if_stepped
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor
from tests.compose import trained

ROOT = Path(__file__).parents[2]
CONF = str(ROOT / "conf")


def written_for(package: str, release: str) -> None:
    assert version(package).startswith(release), f"{package} {version(package)}: read the adapter again"


def test_hydra_puts_a_value_into_what_it_composed_as_when_it_composes() -> None:
    """Hydra 1.4. Without it, a stack of a thousand jobs is composed in a minute, each job from the start."""
    written_for("hydra-core", "1.4.")
    overrides = ["optimizer.lr=0.5", "data.features=[wt,hp]", "data.batch_size=null"]
    with initialize_config_dir(CONF):
        quick, whole = compose("train"), compose("train", overrides)
    hydra_compose.apply(OverridesParser.create().parse_overrides(overrides), quick)
    assert quick == whole
    with pytest.raises(ConfigCompositionException, match=r"optimizer\.foo"):
        hydra_compose.apply(OverridesParser.create().parse_overrides(["optimizer.foo=1"]), quick)


def test_a_pattern_is_read_as_it_is_written() -> None:
    """OmegaConf 2.4. Without it, every sweep composes each trial's configuration to find its folder."""
    written_for("omegaconf", "2.4.")
    with initialize_config_dir(CONF):
        config = compose("train", return_hydra_config=True)
    assert hydra_compose.written_pattern(config) == "${hydra.job.num}"
    hydra_compose.number_job(config, 7)
    assert OmegaConf.select(config, "hydra.sweep.subdir") == "7"


def test_hydra_runs_a_job_inside_a_process(tmp_path: Path) -> None:
    """Hydra 1.4. Without it, a run from Python takes a process of its own."""
    written_for("hydra-core", "1.4.")
    seen: list[Any] = []
    handler = logging.FileHandler(tmp_path / "program.log", "w")
    logging.getLogger().addHandler(handler)
    try:
        with initialize_config_dir(CONF):
            own, handlers = GlobalHydra.instance().hydra, logging.getLogger().handlers[:]
            with hydra_run.as_before():
                overrides = ["optimizer.lr=0.5", f"hydra.run.dir={tmp_path}/run", "~hydra.callbacks.folders"]
                hydra_run.run(seen.append, Path(CONF), "train", overrides, ())
                with hydra_run.as_before(), pytest.raises(ConfigCompositionException):
                    hydra_run.run(seen.append, Path(CONF), "train", ["optimizer.lrr=1"], ())
            assert GlobalHydra.instance().hydra is own
            assert logging.getLogger().handlers == handlers
    finally:
        logging.getLogger().removeHandler(handler)
    assert [cfg.optimizer.lr for cfg in seen] == [0.5]
    assert handler.stream is not None  # logging was not shut down
    handler.close()
    assert "optimizer.lr=0.5" in (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text()


def test_a_trial_is_proposed_again_by_its_id(tmp_path: Path) -> None:
    """Optuna 5. Without it, a trial of a killed sweep cannot run again under its number."""
    written_for("optuna", "5.")
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db")
    storage, study_id = optuna_internals.storage_of(study)
    trial_id = storage.create_new_trial(study_id)
    values = []
    for _ in range(2):
        trial = optuna_internals.trial_by_id(study, trial_id)
        optuna_internals.propose(trial, optuna.samplers.RandomSampler(0))
        values.append(optuna_internals.suggest(trial, "x", FloatDistribution(0, 1)))
        assert optuna_internals.id_of(trial) == trial_id
    assert values[0] == values[1] == storage.get_trial(trial_id).params["x"]


def test_a_record_of_a_trials_end_is_told_from_others(tmp_path: Path) -> None:
    """Optuna 5. Without it, either each record waits for the disk, or a finished trial may be lost with the power."""
    written: list[list[dict[str, Any]]] = []

    class Backend(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            written.append(logs)
            super().append_logs(logs)

    study = optuna.create_study(storage=JournalStorage(Backend(str(tmp_path / "journal"))))
    trial = study.ask()
    trial.set_user_attr("a", 1)
    assert not any(optuna_internals.ends_a_trial(log) for logs in written for log in logs)
    study.tell(trial, 1.0)
    assert optuna_internals.ends_a_trial(written[-1][-1])


def test_upstreams_reading_of_a_range_and_an_interval() -> None:
    """hydra-optuna-sweeper 1.4. Without it, its rules for ranges, tags and decimals are to be written again."""
    written_for("hydra-optuna-sweeper", "1.4.")
    read = OverridesParser.create().parse_override
    found = [optuna_sweeper.distribution_of(read(f"x={text}")) for text in ("range(1,6,2)", "tag(log,interval(0.1,1))")]
    assert found == [IntDistribution(1, 5, step=2), FloatDistribution(0.1, 1.0, log=True)]


@pytest.mark.parametrize("marked", [True, False])
def test_a_scheduler_that_is_stepped_first(marked: bool) -> None:
    """Written for torch 2.13. Without the mark every resumed schedule and every stack warns."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    if marked:
        as_if_stepped(optimizer)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scheduler.step()
    assert bool(said) is not marked


def test_torch_s_compiler_comes_when_it_is_asked_for() -> None:
    """torch 2.13, Lightning 2.6. Without it, each command starts a second later; in a process of its own."""
    written_for("torch", "2.13.")
    script = """
import sys
from src.adapters.lightning_import import import_lightning
import_lightning()
import torch
from torch import nn
net = nn.Linear(3, 1)
optimizer = torch.optim.AdamW(net.parameters())
optimizer.zero_grad(); net(torch.ones(2, 3)).sum().backward(); optimizer.step()
assert "torch._dynamo.config" not in sys.modules and type(torch._dynamo).__name__ == "_Later"
from lightning.fabric.wrappers import OptimizedModule, _unwrap_compiled
assert not isinstance(net, OptimizedModule)
held = torch._dynamo
class Marked(nn.Linear):
    @torch.compiler.disable
    def apart(self, x):
        return x + 100 * torch.compiler.is_compiling()

    def forward(self, x):
        return self.apart(super().forward(x))
marked = Marked(3, 1)
was = marked(torch.ones(2, 3))
class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "torch._dynamo.eval_frame":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
try:
    torch._dynamo.reset
except KeyboardInterrupt:
    sys.meta_path.pop(0)
else:
    raise SystemExit("was not interrupted")
assert type(torch._dynamo).__name__ == "_Later"
compiled = torch.compile(net, backend="eager")
assert torch.equal(torch.compile(marked, backend="eager")(torch.ones(2, 3)), was)
assert torch.equal(compiled(torch.ones(2, 3)), net(torch.ones(2, 3)))
assert isinstance(compiled, OptimizedModule) and not isinstance(net, OptimizedModule)
assert _unwrap_compiled(compiled)[0] is net
import torch._dynamo.config as config
import torch._dynamo.testing as part
assert held is torch._dynamo is sys.modules["torch._dynamo"] and held.config is config and held.testing is part
program = torch.export.export(net, (torch.ones(2, 3),))
assert torch.equal(program.module()(torch.ones(2, 3)), net(torch.ones(2, 3)))
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    "asked", [[], ["-m", "optimizer.lr=0.01,0.02", "hydra/launcher=stacked"]], ids=["run", "stack"]
)
def test_a_command_starts_quickly(tmp_path: Path, asked: list[str]) -> None:
    """Whatever a run does, or a second of each goes into an import, and one into the garbage collector."""
    folders = [f"hydra.run.dir={tmp_path / 'run'}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    script = f"""
import gc, runpy, sys
usual = gc.get_threshold()
sys.argv = {["src.train", *asked, "trainer.max_epochs=2", *folders]!r}
runpy.run_module("src.train", run_name="__main__")
assert {{"torch", "lightning.pytorch"}} <= sys.modules.keys()
assert not {{"torch._dynamo.config", "torch._inductor", "torch.distributed.tensor", "sympy"}} & sys.modules.keys()
assert gc.get_threshold() == usual and gc.get_freeze_count() > 100_000  # what was imported is left alone
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


def test_yaml_is_read_without_nodes() -> None:
    """OmegaConf 2.4. Without it, a page of a sweep opens its runs' configurations in half a second more."""
    written_for("omegaconf", "2.4.")
    assert omegaconf_yaml.values(io.StringIO("a: 1e-05\nb: 2020-01-01\n")) == {"a": 1e-05, "b": "2020-01-01"}


def test_importance_does_without_scikit_learn() -> None:
    """Optuna 5.0. Without it, each sweep's page is drawn a second later; in a process of its own."""
    written_for("optuna", "5.")
    script = """
import sys
import optuna
from src.adapters.optuna_importance import importances
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2 + 1e-3 * trial.suggest_float("y", 0, 1), 30)
found = importances(study, lambda trial: trial.values[0])
assert not {"sklearn", "scipy.stats"} & sys.modules.keys()
assert optuna.importance.FanovaImportanceEvaluator(seed=0)
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
assert found == get_param_importances(study, target=lambda trial: trial.values[0]) and found["x"] > 0.9
assert get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))["x"] > 0.9
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, cwd=ROOT, timeout=120)


def test_the_garbage_collector_comes_as_ever_once_a_command_has_started(tmp_path: Path) -> None:
    """Here of what predicts, without Lightning; in a process of somebody else's nothing changes."""
    trained(tmp_path, "trainer.max_epochs=1", "logger=none")
    usual, frozen, folder = gc.get_threshold(), gc.get_freeze_count(), RunFolder(tmp_path)
    load_predictor(folder, load_config(folder), "best")
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, frozen)
    seldom()
    try:
        assert gc.get_threshold() > usual
        load_predictor(folder, load_config(folder), "best")
        assert gc.get_threshold() == usual
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
