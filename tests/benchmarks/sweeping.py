"""What a sweep costs beside its trainings: functions that return plain numbers."""

import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from src.sweeping.progress import Progress
from src.sweeping.study import DurableStudy
from tests.benchmarks.timing import Row

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def machinery(trials: int = 1000) -> dict[str, float]:
    """Seconds a trial: of a whole sweep of jobs that return at once, of Optuna alone, of compose alone."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep"
        line = [sys.executable, "-m", "tests.benchmarks.noop", "-m", "sweep=lr", f"hydra.sweep.dir={sweep}"]
        subprocess.run([*line, f"hydra.sweeper.n_trials={trials}"], check=True, capture_output=True)
        found = _study(sweep, "lr").get_trials(deepcopy=False)
        ours = _span(found) / trials
        alone = _optuna_alone(Path(folder) / "alone.journal", trials)
    return {"sweep": ours, "optuna": alone, "compose": _compose(min(trials, 50))}


def large(trials: int = 10_000) -> dict[str, float]:
    """Seconds to open, resume by one trial, and report a study of so many finished trials."""
    import json

    from src.reports.report import report

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder, trials)
        for number in range(trials):
            run = folder / str(number)
            run.mkdir()
            objective = {"name": "train/mse", "value": number / trials}
            summary = {"status": "completed", "overrides": [], "metrics": {"train/mse": number / trials}}
            (run / "summary.json").write_text(json.dumps(summary | {"objective": objective}))
        config = {"_target_": "hydra_plugins.plumbline_sweeper.durable.Durable", "study_name": "s"}
        OmegaConf.save(
            {"hydra": {"sweeper": config | {"storage": None, "direction": "minimize"}}},
            folder / "multirun.yaml",
        )
        _forget()
        started = time.perf_counter()
        study = _open(folder, trials + 1)
        study.reclaim()
        opened = time.perf_counter()
        _one(study, Progress(trials + 1, ["minimize"], trials))
        resumed = time.perf_counter()
        study.close()
        _forget()
        before = time.perf_counter()
        report(folder)
        after = time.perf_counter()
    return {"open": opened - started, "resume": resumed - opened, "report": after - before}


def growth(first: int = 100, last: int = 5000, around: int = 50) -> dict[str, float]:
    """Seconds a trial of ask, tell and progress line, around the trials ``first`` and ``last``."""
    with tempfile.TemporaryDirectory() as name:
        study = _open(Path(name), last + around)
        seconds, progress = [], Progress(last + around, ["minimize"], 0)
        for _ in range(last + around):
            started = time.perf_counter()
            _one(study, progress)
            seconds.append(time.perf_counter() - started)
        study.close()
    early, late = seconds[first - around : first + around], seconds[last - around : last + around]
    return {"early": sorted(early)[len(early) // 2], "late": sorted(late)[len(late) // 2]}


def two_writers(trials: int = 200) -> dict[str, float]:
    """Trials a second that two processes together put into one study: in a journal file, in SQLite."""
    rates = {}
    for kind in ("journal", "sqlite"):
        with tempfile.TemporaryDirectory() as name:
            storage = str(Path(name) / "study.journal") if kind == "journal" else f"sqlite:///{name}/study.db"
            _open(Path(name), trials, storage).close()
            context = multiprocessing.get_context("spawn")
            workers = [context.Process(target=_write, args=(Path(name), trials, storage)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            found = _open(Path(name), trials, storage)
            done = found.trials()
            found.close()
            assert len(done) == trials, len(done)
            rates[kind] = trials / _span(done)
    return rates


def _span(trials: "list[FrozenTrial]") -> float:
    """Seconds from the first start to the last end."""
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    return (max(ends) - min(starts)).total_seconds()


def _write(folder: Path, trials: int, storage: str) -> None:
    study = _open(folder, trials, storage)
    progress = Progress(trials, ["minimize"], 0)
    while _one(study, progress):
        pass
    study.close()


def _one(study: DurableStudy, progress: Progress) -> bool:
    from tests.sweeping.conftest import ask

    trial = ask(study)
    if trial is None:
        return False
    study.tell(trial, "COMPLETE", [trial.suggest_float("x", 0, 1)], {"folder": str(trial.number)})
    if progress.due():
        progress.line(study.trials())
    return True


def _open(folder: Path, limit: int, storage: str | None = None) -> DurableStudy:
    from optuna.samplers import RandomSampler

    from src.sweeping.samplers import stream
    from src.sweeping.storage import location

    def sampler(number: int) -> RandomSampler:
        return RandomSampler(stream(0, number))

    return DurableStudy(location(storage, folder), "s", ["minimize"], {}, sampler, {}, None, limit, 2, folder)


def _fill(folder: Path, trials: int) -> None:
    """Finished trials, added in one piece."""
    import optuna
    from optuna.distributions import FloatDistribution

    study = _open(folder, trials)
    space = {"x": FloatDistribution(0, 1)}
    for number in range(trials):
        value = number / trials
        done = optuna.create_trial(
            params={"x": value}, distributions=space, value=value, user_attrs={"folder": str(number)}
        )
        study.study.add_trial(done)
    study.close()


def _study(folder: Path, name: str) -> "Study":
    import optuna

    from src.sweeping.storage import location, open_storage

    return optuna.load_study(study_name=name, storage=open_storage(location(None, folder)))


def _optuna_alone(path: Path, trials: int) -> float:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    started = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("optimizer.lr", 1e-4, 0.1, log=True))
    return (time.perf_counter() - started) / trials


def _compose(times: int) -> float:
    from hydra import compose, initialize_config_dir

    conf = Path(__file__).parents[2] / "conf"
    with initialize_config_dir(str(conf)):
        started = time.perf_counter()
        for number in range(times):
            compose("train", overrides=["sweep=lr", f"optimizer.lr=0.0{number + 1}"], return_hydra_config=True)
        return (time.perf_counter() - started) / times


def _forget() -> None:
    from src.sweeping.storage import forget

    forget()


if __name__ == "__main__":
    for measure in (two_writers, growth, large, machinery):
        started = time.perf_counter()
        figures = ", ".join(f"{name} {value:.4g}" for name, value in measure().items())
        print(f"{measure.__name__}: {figures} ({time.perf_counter() - started:.0f} s)", flush=True)


def _machinery_row(rounds: int, size: float) -> list[Row]:
    trials = max(int(1000 * size), 20)
    found = [machinery(trials) for _ in range(min(rounds, 2))]
    what = f"a trial of {trials:,} that return at once, random sampler | Optuna alone and Hydra's compose"
    theirs = [one["optuna"] + one["compose"] for one in found]
    return [Row("sweep-overhead", what, [one["sweep"] for one in found], theirs, 3.0, 3.0)]


def _growth_row(rounds: int, size: float) -> list[Row]:
    last = max(int(5000 * size), 300)
    found = [growth(100, last) for _ in range(min(rounds, 2))]
    times = [[one[key] for one in found] for key in ("late", "early")]
    return [Row("sweep-growth", f"machinery of trial {last:,} | of trial 100", times[0], times[1], 2.0, 2.0)]


ROWS = {"sweep-overhead": _machinery_row, "sweep-growth": _growth_row}
