"""The same from Python: ``train`` a run, ``load`` one, ``sweep`` over several.

Overrides are those of the command line, and so are defaults, folders and mistakes, which are raised as ``UserError``.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.cli import ALLOWED
from src.config.help import CONF
from src.errors import HEARD, Refused, UserError
from src.plugins.rows import override
from src.reports.handle import Sweep
from src.runs.folder import RunFolder
from src.runs.run import Run, random_numbers_as_before

__all__ = ["Run", "Sweep", "UserError", "load", "load_sweep", "sweep", "train"]


def train(*overrides: str, data: Any = None, target: str | Sequence[str] | None = None, verbose: bool = True) -> Run:
    """Trains one run in this process, as ``python -m src.train`` does, below the current folder.

    Args:
        overrides: of the command line, such as ``"model=mlp"``; ``"hydra.run.dir=DIR"`` names the folder.
        data: a pandas DataFrame or an Arrow table, in the place of a file; it is written into the run's folder as
            Parquet, so that whatever takes a folder finds its rows. None: what the overrides say.
        target: the column to predict, or several.
        verbose: whether to print the lines that the command prints while it trains.

    Returns:
        The run; also one that diverged, as its ``status`` says.

    Raises:
        UserError: a mistake in the overrides or the table, in the command's own words; nothing is left behind.
        KeyboardInterrupt: Ctrl-C, after everything was written: ``load("last")`` has it.
    """
    from src.adapters.hydra_errors import raised
    from src.adapters.hydra_run import as_before, run
    from src.config.answers import told

    reached: list[Path] = []
    asked = _checked(overrides, data, target)
    with tempfile.TemporaryDirectory() as scratch, as_before(), random_numbers_as_before():
        from src.train import is_sweep, unbound

        if is_sweep(asked):
            raise UserError(f"{' '.join(asked)}: is a sweep, expected sweep(…) in the place of train(…)")
        given = _given(Path(scratch), asked, data, target)
        arguments = unbound(given, CONF)
        heard = HEARD.set(True)
        try:
            with raised(lambda error: told(error, arguments) or error):
                run(lambda cfg: _job(cfg, reached, verbose), CONF, "train", arguments, ALLOWED)
        except Refused as refused:
            raise UserError(_of_the_table(str(refused.error))) from None
        except Exception as error:
            if mistake := told(error, arguments):
                raise UserError(_of_the_table(str(mistake))) from None
            raise
        finally:
            HEARD.reset(heard)
    return Run(reached[0], _packages(RunFolder(reached[0])))


def load(folder: str | Path = "last", trust: Collection[str] = ()) -> Run:
    """A run that is there already.

    Args:
        folder: the run's, one of its checkpoints, ``last`` (the newest run below the current folder) or ``best``.
        trust: packages of your own whose nets the folder may name; a folder is data, not program.

    Raises:
        UserError: there is no such run.
    """
    return Run(folder, trust)


def sweep(*overrides: str, data: Any = None, target: str | Sequence[str] | None = None, verbose: bool = True) -> Sweep:
    """Trains runs for every value of a sweep, as ``python -m src.train -m`` does, which it starts.

    Args:
        overrides, data, target: as for ``train``, such as ``"optimizer.lr=0.01,0.1"`` or ``"sweep=mlp"``. The table
            goes into the sweep's folder.
        verbose: whether to print what the command prints.

    Raises:
        UserError: a mistake in the overrides or the table, in the command's own words.
        RuntimeError: the command ended with an error of another kind.
        KeyboardInterrupt: Ctrl-C; a durable sweep goes on when it is asked for again.
    """
    asked = _checked(overrides, data, target)
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch, "folder")
        arguments = [*_given(Path(scratch), asked, data, target), override("+hydra.callbacks.rows.told", told)]
        if data is None:
            arguments.append(_CALLBACK)
        code, said = _command([*arguments, "--multirun"], verbose)
        if code == 2:
            raise UserError(_of_the_table(said))
        if code == 130:
            raise KeyboardInterrupt
        if code:
            raise RuntimeError(f"the sweep ended with exit code {code}: {said}")
        folder = Path(told.read_text(encoding="utf-8"))
    first = next((RunFolder(path.parents[1]) for path in folder.rglob(".hydra/config.yaml")), None)
    return Sweep(folder, _packages(first) if first else ())


def load_sweep(folder: str | Path = "last", trust: Collection[str] = ()) -> Sweep:
    """A sweep that is there already, finished or not; arguments as for ``load``.

    Raises:
        UserError: there is no such sweep.
    """
    return Sweep(folder, trust)


_CALLBACK = "+hydra.callbacks.rows._target_=src.plugins.rows.Rows"


def _job(cfg: DictConfig, reached: list[Path], verbose: bool) -> float | list[float]:
    """What Hydra calls: the run itself; ``reached`` gets its folder, or that of a finished one that it resumes."""
    from hydra.core.hydra_config import HydraConfig

    from src.runs.logs import logged
    from src.runs.train import log, run
    from src.sweeping.pruning import pruner_of

    def together(*arguments: Any) -> dict[str, Any]:
        from src.stacks.ensemble import fit_together  # imports torch, which a mistake does not wait for

        return fit_together(*arguments)

    def shown(summary: dict[str, Any], folder: RunFolder, alone: bool, ignore: Collection[str]) -> float:
        reached.append(folder.path)
        if summary["status"] == "diverged":
            log.warning("diverged: %s", summary["message"])
        if summary["status"] == "interrupted":
            raise KeyboardInterrupt
        return 0.0

    with logged(HydraConfig.get(), verbose):
        value = run(cfg, pruner_of, together, shown)
        if not reached:  # nothing was left to do
            reached.append(RunFolder.existing(cfg.resume).path)
    return value


def _checked(overrides: Sequence[str], data: Any, target: str | Sequence[str] | None) -> list[str]:
    """The overrides, none of which is a flag or says what an argument says."""
    said = [*(["data", "data.path"] if data is not None else []), *(["data.target"] if target is not None else [])]
    for each in overrides:
        if not isinstance(each, str) or each.startswith("-"):
            raise UserError(f"{each!r}: expected an override as on the command line, such as 'model=mlp'")
        if each.lstrip("+").partition("=")[0] in said:
            raise UserError(f"{each}: is said by an argument as well, leave one out")
    return list(overrides)


def _given(scratch: Path, overrides: list[str], data: Any, target: str | Sequence[str] | None) -> list[str]:
    """The overrides of a command that reads what was handed over; its rows are in ``scratch`` until it begins."""
    named = [] if target is None else [override("data.target", target)]
    if data is None:
        return [*overrides, *named]
    from src.data.given import Given

    given = Given(data)
    if target is not None:
        given.check([target] if isinstance(target, str) else list(target))
    path = given.write(scratch)
    table = override("+hydra.callbacks.rows.table", path)
    return ["data=csv", override("data.path", path), *named, *overrides, _CALLBACK, table]


def _command(arguments: list[str], verbose: bool) -> tuple[int, str]:
    """Runs ``python -m src.train``, with Ctrl-C handed on to it; its exit code, and what it said of errors."""
    path = os.pathsep.join(each or os.getcwd() for each in sys.path)
    # -P: what this process imports, and not what lies in the current folder, is what the command imports.
    command = [sys.executable, "-P", "-m", "src.train", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if verbose:
                        print(line, end="")
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
        errors.seek(0)
        return process.returncode, errors.read().strip()


def _packages(folder: RunFolder) -> set[str]:
    """The packages of the nets that a command of ours just trained: whoever gave it named them."""
    from src.config.values import flatten, unresolved

    cfg = OmegaConf.load(folder.config)
    assert isinstance(cfg, DictConfig)
    named = flatten(unresolved(cfg.model))
    return {str(value).partition(".")[0] for key, value in named.items() if key.endswith("_target_")} - {"src", "torch"}


def _of_the_table(said: str) -> str:
    """A message without the file that Python never named."""
    return re.sub(r"\S*table-[0-9a-f]{8}\.parquet", "the table", said)
