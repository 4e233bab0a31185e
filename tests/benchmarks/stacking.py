"""Many small trainings at once, from command to exit, run folders included."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import Row, in_turn

ROOT = Path(__file__).parents[2]
_FOLDERS: list[str] = []  # where sweeps go, once there was one
_BEFORE = "426fcb7"  # when nets were stacked by derivatives written by hand, and folders by templates of bytes
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
    return [_search_row("stacked-1024", 1024, rounds, size, 0.1, 0.04)]


def search_128(rounds: int, size: float) -> list[Row]:
    """128 of the same."""
    return [_search_row("stacked-128", 128, rounds, size, 0.25, 0.15)]


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
    return [Row("stacked-growth", what, *times, 0.2, 0.11)]


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
    from tests.stacking.pairs import config, variants

    base = config(f"trainer.max_epochs={epochs}")
    changes = ({"optimizer.lr": 0.001 + 0.07 * number / members} for number in range(members))
    return _trained(variants(base, *changes)) / members


def random_mlps(rounds: int, size: float) -> list[Row]:
    """64 random trials of sweep=mlp: 40 structures, most with a depth, width or activation of their own."""
    trials = max(int(64 * size), 2)

    def side(launcher: str) -> Callable[[], None]:
        return lambda: _train(
            f"hydra/launcher={launcher}", "sweep=mlp", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=0",
            f"hydra.sweeper.n_trials={trials}",
        )  # fmt: skip

    times = in_turn(side("stacked"), side("basic"), rounds, 0)
    return [Row("stacked-random", f"{trials} random trials of sweep=mlp | own basic launcher", *times, 0.35, 0.2)]


def residual(rounds: int, size: float) -> list[Row]:
    """Training alone, 64 seeds of a net that nobody here knows."""
    from tests.stacking.pairs import config, variants

    members = max(int(64 * size), 2)
    net = (
        "model._target_=tests.benchmarks.nets.Residual",
        "~model.activation",
        "~model.dropout",
        "~model.hidden",
        "+model.width=64",
    )
    base = config("model=mlp", *net, "data=synthetic", "data.kind=sine", "data.n_samples=4096", "data.n_features=8",
                  "data.batch_size=256", "optimizer=adamw", "trainer.max_epochs=5")  # fmt: skip
    configs = variants(base, *({"seed": seed} for seed in range(members)))

    def one_by_one() -> float:
        return sum(_fitted(cfg) for cfg in configs)

    times = in_turn(lambda: _trained(configs), one_by_one, rounds, 0)
    what = f"training {members} seeds of a residual net of one's own, LayerNorm, batch 256 | one by one"
    return [Row("stacked-residual", what, *times, 0.7, 0.5)]


def ten_thousand(rounds: int, size: float) -> list[Row]:
    """Ten thousand seeds of a line: seconds and peak memory of the whole command, against what they were.

    Needs the history of the project, for the commit that is meant.
    """
    members = max(int(10_000 * size), 2)
    peaks: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", folder, _BEFORE], check=True)
        try:
            sides = [
                partial(_peak, root, members, peak) for root, peak in zip((ROOT, Path(folder)), peaks, strict=True)
            ]
            times = in_turn(*sides, rounds, 0)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)
    what = f"{members:,} seeds, cars, linear, 50 epochs"
    return [
        Row("stacked-many", f"{what} | as it was", *times, 1.0, 0.5),
        Row("stacked-many", f"{what}: peak memory | as it was", *peaks, 1.0, 0.5, "MiB"),
    ]


def _peak(root: Path, members: int, peaks: list[float]) -> None:
    """Trains so many seeds with the project in ``root``, and notes the MiB that it took at most."""
    sweep = [f"hydra.sweep.dir={_new_folder()}/sweep", "hydra/launcher=stacked"]
    command = [sys.executable, "-m", "src.train", "-m", *sweep, f"seed=range({members})", "trainer.max_epochs=50"]
    paths = os.environ | {"PYTHONPATH": f"{root}:{root / 'src' / 'plugins'}"}
    process = subprocess.Popen(command, cwd=root, env=paths, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{root}: ended with {process.returncode}"
    peaks.append(used.ru_maxrss / 1024)


def _trained(configs: list[Any]) -> float:
    """Seconds of the training of one stack."""

    from src.config import build
    from src.config.values import Values, container
    from src.data.encoder import Shape
    from src.runs.folder import RunFolder
    from src.stacks.job import Job
    from src.stacks.nets import nets_of
    from src.stacks.stack import Group

    rows = build.table(configs[0])
    jobs = [Job(number, Values.of(container(cfg)), RunFolder("unused"), []) for number, cfg in enumerate(configs)]
    group = Group(rows, jobs, nets_of(Shape.of(rows.columns), jobs))
    return sum(trained.seconds for trained in group.train(group.width("auto"), None, None))


def _fitted(cfg: Any) -> float:
    """Seconds of the training of a lone run."""
    from src.config import build
    from src.runs.fit import fit
    from src.runs.folder import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        return fit(cfg, build.table(cfg), RunFolder(folder), "", [], False)["seconds"]["fit"]


def _search_row(name: str, trials: int, rounds: int, size: float, must: float, aim: float) -> Row:
    trials, epochs = max(int(trials * size), 2), 1000
    what = f"{trials:,} learning rates, cars, linear, {epochs:,} epochs | Optuna and the raw loop, no folders"
    # Whole commands of minutes: nothing to warm up.
    times = in_turn(search("stacked", trials, epochs), raw_search(trials, epochs), rounds, 0)
    return Row(name, what, *times, must, aim)


def _train(*arguments: str) -> None:
    _run("-m", "src.train", "-m", f"hydra.sweep.dir={_new_folder()}/sweep", *arguments)


def _new_folder() -> str:
    """For a sweep; kept to the end: for minutes after thousands of files were deleted, ext4 is slow to create one."""
    if not _FOLDERS:
        _FOLDERS.append(tempfile.mkdtemp(prefix="plumbline-"))
        atexit.register(shutil.rmtree, _FOLDERS[0])
    return tempfile.mkdtemp(dir=_FOLDERS[0])


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
    "stacked-random": random_mlps,
    "stacked-residual": residual,
    "stacked-many": ten_thousand,
    "stacked-wide": wide,
    "stacked-growth": growth,
    "stacked-gpu": gpu,
}
