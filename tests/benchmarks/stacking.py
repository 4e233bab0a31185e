"""Many small trainings at once, from command to exit, run folders included."""

import atexit
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.timing import Row, in_turn

ROOT = Path(__file__).parents[2]
_FOLDERS: list[str] = []  # where sweeps go, once there was one
CARS = ROOT / "src" / "data" / "cars.csv"

# What one would write by hand for a search over learning rates; nothing is saved.
RAW_SEARCH = f"""
import sys, optuna, pandas, torch
optuna.logging.set_verbosity(optuna.logging.WARNING)
cars = pandas.read_csv({str(CARS)!r})
x = torch.tensor(cars[["wt"]].to_numpy(), dtype=torch.float32)
y = torch.tensor(cars[["mpg"]].to_numpy(), dtype=torch.float32)

def objective(trial):
    net, loss_of = torch.nn.Linear(1, 1), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=trial.suggest_float("lr", 0.0001, 0.08))
    for epoch in range(int(sys.argv[2])):
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()

study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
study.optimize(objective, n_trials=int(sys.argv[1]))
print(study.best_value)
"""

WIDE = (
    ("MLP 256-256, 10,000 rows, batch 1,024",
     ["model=mlp", "model.hidden=[256,256]", "data=synthetic", "data.n_samples=10000", "data.batch_size=1024"], 10),
    ("MLP 64-64, 1,000 rows, full batch", ["model=mlp", "data=synthetic", "data.n_samples=1000"], 200),
    ("straight line, 1,000,000 rows, full batch", ["data=synthetic", "data.n_samples=1000000", "logger=none"], 20),
    ("straight line, 32 rows", [], 1000),
)  # fmt: skip


def raw_search(trials: int, epochs: int) -> Callable[[], None]:
    """Optuna with the raw loop, in one process of its own."""
    return lambda: _run("-c", RAW_SEARCH, str(trials), str(epochs))


def search(launcher: str, trials: int, epochs: int) -> Callable[[], None]:
    """The same search as a sweep of this project."""
    return lambda: _train(
        f"hydra/launcher={launcher}", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random",
        "optimizer.lr=interval(0.0001,0.08)", f"hydra.sweeper.n_trials={trials}",
        f"hydra.sweeper.n_jobs={trials}", f"trainer.max_epochs={epochs}",
    )  # fmt: skip


def seeds(launcher: str, members: int, rows: int) -> Callable[[], None]:
    """One net from many seeds."""
    return lambda: _train(
        f"hydra/launcher={launcher}", f"seed=range({members})", "model=mlp", "model.hidden=[64,64]",
        "data=synthetic", "data.kind=sine", f"data.n_samples={rows}", "data.n_features=8",
        "data.batch_size=256", "trainer.max_epochs=20",
    )  # fmt: skip


def search_1024(rounds: int, size: float) -> list[Row]:
    """1,024 learning rates against Optuna with the raw loop."""
    return [_search_row("stacked-1024", 1024, rounds, size, 1 / 4, 1 / 10)]


def search_128(rounds: int, size: float) -> list[Row]:
    """128 of the same."""
    return [_search_row("stacked-128", 128, rounds, size, 1 / 2, 1 / 3)]


def search_128_basic(rounds: int, size: float) -> list[Row]:
    """The same 128 against this project's own basic launcher."""
    trials, epochs = max(int(128 * size), 2), 1000
    what = f"{trials} learning rates, cars, linear, {epochs:,} epochs | own basic launcher"
    times = in_turn(search("stacked", trials, epochs), search("basic", trials, epochs), rounds, 0)
    return [Row("stacked-128-basic", what, *times, 1 / 8, 1 / 20)]


def seeds_mlp(rounds: int, size: float) -> list[Row]:
    """64 seeds of an MLP 8-64-64-1 on 4,096 rows by mini-batches."""
    members = max(int(64 * size), 2)
    what = f"{members} seeds, MLP 8-64-64-1, 4,096 rows, batch 256, 20 epochs | own basic launcher"
    times = in_turn(seeds("stacked", members, 4096), seeds("basic", members, 4096), rounds, 0)
    return [Row("stacked-seeds", what, *times, 1 / 2, 1 / 4)]


def wide(rounds: int, size: float) -> list[Row]:
    """Nets of several sizes: with the width left to the launcher, none may be slower than one by one."""
    rows = []
    for what, arguments, epochs in WIDE:
        line = [*arguments, f"trainer.max_epochs={max(int(epochs * size), 1)}", "seed=range(16)"]
        sides = [lambda name=name, line=line: _train(f"hydra/launcher={name}", *line) for name in ("stacked", "basic")]
        rows.append(
            Row("stacked-wide", f"16 seeds, {what} | own basic launcher", *in_turn(*sides, rounds, 0), 1.1, 0.9)
        )
    return rows


def growth(rounds: int, size: float) -> list[Row]:
    """Seconds of training per member in a stack of 1,024 against a stack of 64."""
    epochs = max(int(1000 * size), 50)
    times = in_turn(lambda: per_member(1024, epochs), lambda: per_member(64, epochs), rounds)
    what = f"training a member of 1,024, cars, linear, {epochs:,} epochs | of 64"
    return [Row("stacked-growth", what, *times, 1.0, 1 / 8)]


def gpu(rounds: int, size: float) -> list[Row]:
    """4,096 MLPs on one GPU against lone runs there; nothing where there is none."""
    import torch

    if not torch.cuda.is_available():
        return []
    members, few = max(int(4096 * size), 8), 4

    def net(launcher: str, count: int) -> Callable[[], None]:
        return lambda: _train(
            f"hydra/launcher={launcher}", f"seed=range({count})", "model=mlp", "trainer=gpu", "data=synthetic",
            "data.n_samples=10000", "data.n_features=10", "trainer.max_epochs=100",
        )  # fmt: skip

    ours, theirs = in_turn(net("stacked", members), net("basic", few), rounds)
    what = f"{members:,} MLPs 10-64-64-1, 10,000 rows, one GPU | one by one there ({few} timed)"
    return [Row("stacked-gpu", what, ours, [t * members / few for t in theirs], 1 / 50, 1 / 200)]


def per_member(members: int, epochs: int) -> float:
    """Seconds of training per member of one stack, in this process."""
    from omegaconf import OmegaConf
    from src.jobs.ingredients import Job
    from src.stacking.groups import flatten

    from src import build
    from src.jobs.stack import train
    from src.results.folder import RunFolder
    from tests.stacking.pairs import config

    base = config(f"trainer.max_epochs={epochs}")
    flat = flatten(OmegaConf.to_container(base))
    jobs = [
        Job(number, flat | {"optimizer.lr": 0.001 + 0.07 * number / members}, RunFolder("unused"), [])
        for number in range(members)
    ]
    [trained] = train(base, build.table(base), jobs, members)
    return trained.seconds / members


def _search_row(name: str, trials: int, rounds: int, size: float, must: float, aim: float) -> Row:
    trials, epochs = max(int(trials * size), 2), 1000
    what = f"{trials:,} learning rates, cars, linear, {epochs:,} epochs | Optuna and the raw loop, no folders"
    # Whole commands of minutes: nothing to warm up.
    times = in_turn(search("stacked", trials, epochs), raw_search(trials, epochs), rounds, 0)
    return Row(name, what, *times, must, aim)


def _train(*arguments: str) -> None:
    # Kept to the end: for minutes after thousands of files were deleted, ext4 takes milliseconds to create one.
    if not _FOLDERS:
        _FOLDERS.append(tempfile.mkdtemp(prefix="plumbline-"))
        atexit.register(shutil.rmtree, _FOLDERS[0])
    _run("-m", "src.train", "-m", f"hydra.sweep.dir={tempfile.mkdtemp(dir=_FOLDERS[0])}/sweep", *arguments)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)


def seconds(side: Callable[[], None]) -> float:
    """How long a side takes."""
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


ROWS = {
    "stacked-1024": search_1024,
    "stacked-128": search_128,
    "stacked-128-basic": search_128_basic,
    "stacked-seeds": seeds_mlp,
    "stacked-wide": wide,
    "stacked-growth": growth,
    "stacked-gpu": gpu,
}
