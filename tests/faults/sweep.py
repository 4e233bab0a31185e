"""Kills real sweeps at random moments and checks what is left.

python -m tests.faults.sweep --kills 10                                 one process, journal file
python -m tests.faults.sweep --kills 6 --processes 2                    two on one file
python -m tests.faults.sweep --kills 6 --processes 4 --postgres         four on PostgreSQL
python -m tests.faults.sweep --sampler grid --kills 10
python -m tests.faults.sweep --failures                                 20 of 60 trials diverge or raise
python -m tests.faults.sweep --pruning                                  cost and result of median pruning
"""

import argparse
import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.faults.postgres import postgres

DOOR = (sys.executable, "-m", "src.train")
TRIALS = 60
GRID = "optimizer.lr=" + ",".join(f"0.0{number:03d}1" for number in range(1, TRIALS + 1))


def command(folder: Path, sampler: str, storage: str | None, trials: int) -> list[str]:
    """A sweep of short runs."""
    line = ["-m", "sweep=lr", f"hydra.sweep.dir={folder}"]
    line += [f"hydra.sweeper.n_trials={trials}", "trainer.max_epochs=1000", "logger=none"]
    if sampler != "random":
        line += [f"hydra/sweeper/sampler={sampler}"]
    if sampler == "grid":
        line += [GRID]
    if storage:
        line += [f"hydra.sweeper.storage='{storage}'", f"hydra.sweeper.study_name={folder.name}"]
    return line


def start(line: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Starts a process of its own group, so that its workers die with it."""
    with log.open("ab") as file:
        return subprocess.Popen([*DOOR, *line], stdout=file, stderr=file, start_new_session=True)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the process and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def hurt(line: list[str], folder: Path, log: Path, processes: int, kills: int, chance: random.Random) -> int:
    """Runs the sweep, killing one process at a random moment and starting it again, ``kills`` times.

    Moments are counted in finished trials, so that a fast machine is not done before the last of them, and a slow one
    not killed while it still imports.

    Returns:
        How many kills hit a process that was still at work.
    """
    running = [start(line, log) for _ in range(processes)]
    hits = 0
    for _ in range(kills):
        wanted, latest = len(list(folder.glob("*/summary.json"))) + chance.randint(0, 5), time.monotonic() + 60
        while len(list(folder.glob("*/summary.json"))) < wanted and time.monotonic() < latest:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1))
        victim = chance.randrange(processes)
        if running[victim].poll() is None:
            kill(running[victim])
            hits += 1
        running[victim] = start(line, log)
    for place, process in enumerate(running):
        if process.wait(600) != 0:
            raise SystemExit(f"process {place} ended with {process.returncode}; see {log}")
    return hits


def examine(folder: Path, storage: str | None, trials: int) -> dict[str, Any]:
    """What the study and its folders hold.

    Raises:
        AssertionError: they are not what an uninterrupted sweep leaves.
    """
    import optuna

    from src.sweeping.storage import location, open_storage

    name = folder.name if storage else "lr-cars"
    study = optuna.load_study(study_name=name, storage=open_storage(location(storage, folder)))
    found = study.get_trials(deepcopy=False)
    states = [trial.state.name for trial in found]
    points = sorted(json.dumps(trial.params, sort_keys=True) for trial in found)
    assert len(found) == trials, f"{len(found)} trials, expected {trials}"
    assert set(states) <= {"COMPLETE", "PRUNED"}, f"states {sorted(set(states))}"
    assert len(set(points)) == trials, f"{trials - len(set(points))} points came twice"
    for trial in found:
        run = folder / str(trial.number)
        summary = json.loads((run / "summary.json").read_text())
        assert summary["status"] in ("completed", "diverged"), f"{run}: {summary['status']}"
        value = summary["objective"]["value"]
        assert (math.inf if value is None else value) == trial.value, run  # JSON has no infinity
        rows = len((run / "metrics.csv").read_text().splitlines()) - 1
        assert rows == summary["epochs"] - (summary["status"] == "diverged"), run  # the last epoch had no figures
        assert (run / "checkpoints" / "last.ckpt").is_file(), run
    again = sum(trial.system_attrs.get("plumbline:deaths", 0) for trial in found)
    return {"points": points, "run again": again}


def survive(options: argparse.Namespace, where: Path) -> None:
    """Done-when 1 and 2."""
    chance = random.Random(options.seed)
    server = postgres(where / "server") if options.postgres else nullcontext(None)
    with server as storage:
        hurt_folder, whole = where / "hurt", where / "whole"
        started = time.perf_counter()
        line = command(hurt_folder, options.sampler, storage, options.trials)
        hits = hurt(line, hurt_folder, where / "hurt.log", options.processes, options.kills, chance)
        seconds = time.perf_counter() - started
        found = examine(hurt_folder, storage, options.trials)
        print(
            f"{options.trials} trials, {options.processes} processes, {hits} of {options.kills} kills hit, "
            f"{found['run again']} trials run again, {seconds:.0f} s: all finished, none twice"
        )
        # Processes that share a sampler which learns propose by who came first.
        if options.sampler in ("random", "grid") or options.processes == 1:
            whole_line = command(whole, options.sampler, storage, options.trials)
            subprocess.run([*DOOR, *whole_line], check=True, capture_output=True)
            same = examine(whole, storage, options.trials)["points"] == found["points"]
            print(f"points of the uninterrupted sweep: {'the same' if same else 'DIFFERENT'}")
            if not same:
                raise SystemExit(1)


def fail(options: argparse.Namespace, where: Path) -> None:
    """Done-when 3."""
    line = [sys.executable, "-m", "src.train", "-m", "hydra/sweeper=durable", "hydra/sweeper/sampler=grid"]
    line += [f"hydra.sweep.dir={where / 'failures'}", "hydra.sweeper.n_trials=60", "logger=none", "seed=range(10)"]
    subprocess.run([*line, "optimizer.lr=0.01,0.02,9e9,0.03,-1,0.04"], check=True, capture_output=True)
    with (where / "failures" / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = Counter((row["status"], bool(row["rank"])) for row in rows)
    assert found == {("completed", True): 40, ("diverged", False): 10, ("failed", False): 10}, found
    means = [float(row["mean"]) for row in rows[:40]]
    assert means == sorted(means), "not the best first"
    assert all("optimizer.lr must be a number above 0" in row["message"] for row in rows[50:]), rows[50]
    print("60 trials: 40 ranked, 10 diverged, 10 failed, exit code 0")


def prune(options: argparse.Namespace, where: Path) -> None:
    """Done-when 4."""
    results = {}
    for pruner in ("none", "median"):
        folder = where / f"{pruner}-{options.seed}"
        line = [sys.executable, "-m", "src.train", "-m", "sweep=mlp", "logger=none", f"hydra.sweep.dir={folder}"]
        line += [f"hydra.sweeper.n_trials={options.trials}", f"hydra.sweeper.sampler.seed={options.seed}"]
        started = time.perf_counter()
        subprocess.run([*line, f"hydra/sweeper/pruner={pruner}", *options.overrides], check=True, capture_output=True)
        summaries = [json.loads(path.read_text()) for path in folder.glob("*/summary.json")]
        epochs = sum(summary["epochs"] for summary in summaries)
        best = min(s["objective"]["value"] for s in summaries if s["status"] == "completed")
        pruned = sum(summary["status"] == "pruned" for summary in summaries)
        results[pruner] = (epochs, best)
        print(
            f"{pruner}: {len(summaries)} trials, {pruned} pruned, {epochs} epochs, best {best:.6g}, "
            f"{time.perf_counter() - started:.0f} s"
        )
    cost = results["median"][0] / results["none"][0]
    gap = results["median"][1] / results["none"][1] - 1
    print(f"pruning costs {cost:.0%} of the epochs; its best value is {gap:+.2%} from the unpruned one")
    if cost > 0.6 or gap > 0.02:
        raise SystemExit(1)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--pruning", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the kills; of the sampler with --pruning")
    parser.add_argument("--keep", type=Path, help="a folder to leave everything in")
    parser.add_argument("overrides", nargs="*", help="for --pruning")
    options = parser.parse_args()
    where = options.keep or Path(tempfile.mkdtemp(prefix="plumbline-"))
    where.mkdir(parents=True, exist_ok=True)
    print(f"in {where}")
    (prune if options.pruning else fail if options.failures else survive)(options, where)


if __name__ == "__main__":
    main()
