"""python -m src.train: one run, or with -m a sweep of runs."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from src.config.cli import ALLOWED, door


@hydra.main(config_path="../conf", config_name="train", execution_whitelist=ALLOWED)
def train(cfg: DictConfig) -> float | list[float]:
    """Trains as configured and returns the objective."""
    from src.runs.train import run
    from src.sweeping.pruning import pruner_of

    def together(*arguments: Any) -> dict[str, Any]:
        from src.stacks.ensemble import fit_together  # imports torch, which a mistake does not wait for

        return fit_together(*arguments)

    return run(cfg, pruner_of, together)


def is_sweep(arguments: list[str]) -> bool:
    """Whether an experiment or a sweep is asked for without -m, which Hydra has to know before it composes.

    Not where hydra.mode is given, or a flag such as --cfg or --help.
    """
    if any(argument.startswith(("-", "hydra.mode=")) for argument in arguments):
        return False
    if any(argument.startswith("sweep=") and argument != "sweep=null" for argument in arguments):
        return True
    folder = Path(__file__).parents[1] / "conf" / "experiment"
    chosen = [argument.partition("=")[2] for argument in arguments if argument.startswith("experiment=")]
    files = [folder / f"{name}.yaml" for name in chosen]
    return any(file.is_file() and OmegaConf.select(OmegaConf.load(file), "hydra.sweeper") for file in files)


def unbound(arguments: Sequence[str], groups: Path) -> list[str]:
    """A command line whose values need no key in conf/'s own choices, where it takes those of a run.

    ``model.dropout=0.1`` has to find its key in the run, not in conf/model/linear.yaml, so Hydra is told to add it.

    Args:
        arguments: of the command line.
        groups: conf/, whose folders are groups.
    """
    if not any(re.match("(resume|rerun)=(?!null$)", argument) for argument in arguments):
        return list(arguments)
    return [f"++{argument}" if _is_value(argument, groups) else argument for argument in arguments]


def _is_value(argument: str, groups: Path) -> bool:
    key, equals, value = argument.partition("=")
    if not equals or re.match(r"[^a-zA-Z]|hydra|.*@|(resume|rerun|trust)$", key):
        return False
    return not (groups / key).is_dir() or value.startswith("{")


if __name__ == "__main__":
    sys.argv[1:] = unbound(sys.argv[1:], Path(__file__).parents[1] / "conf")
    if is_sweep(sys.argv[1:]):
        sys.argv.append("--multirun")
    door(train)
