"""Keeps run folders apart, and ends a sweep with what only all its runs together show."""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from src.adapters.hydra_compose import written_pattern
from src.adapters.hydra_files import written_through
from src.config.answers import told
from src.config.resolvers import within
from src.config.settings import check_first_job, check_settings
from src.config.yaml_files import masked_yaml
from src.errors import UserError, printable, refuse
from src.plugins.resumed import goes_into_itself, named_by_user, settle_resume
from src.runs.again import is_written
from src.runs.files import remove_empty
from src.runs.folder import TABLES, RunFolder
from src.runs.lock import claimed
from src.sweeping.pruning import SWEEPER
from src.sweeping.subdir import check_subdir
from src.training.task import direction_of

log = logging.getLogger(__name__)
written_through(masked_yaml)  # Hydra makes this callback in every process, before it writes


class Folders(Callback):
    """Every launch has a folder that nobody else has; a sweep ends with its comparison, its workers with it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._held = ExitStack()
        self._refused = False

    def __reduce__(self) -> tuple[Callable[[int], "Folders"], tuple[int]]:
        """Pickled, it is on its way to a worker."""
        return _in_worker, (os.getpid(),)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claims the run's folder, before Hydra writes into it; a run that is resumed keeps its name."""
        logging.raiseExceptions = False  # a full disk would print a traceback for each line of a log
        with _in_one_line():
            own = goes_into_itself(config)
            settle_resume(config, own)
            check_settings(config, "run")
            folder = _claim(config, "run")
        if os.environ.get("LOCAL_RANK", "0") == "0":  # the others of several processes join the first in its folder
            self._hold(folder, "run", own)
            if not own or not any(folder.iterdir()):
                self._folder = folder
            with _in_one_line():
                if own and is_written(RunFolder(folder), config.hydra.overrides.task):
                    with read_write(config.hydra):
                        config.hydra.output_subdir = None  # .hydra says already what the run is

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Lets go of the folder, and removes it where the run never started."""
        self._held.close()
        if self._folder and self._folder.is_dir():
            _forget(self._folder)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claims the sweep's folder; that of a durable study is named by the study, so that it is found again."""
        logging.raiseExceptions = False  # a full disk would print a traceback for each line of a log
        try:
            with _in_one_line():
                check_settings(config, "sweep")
                check_first_job(config)
                _direct_by_objective(config)
        except SystemExit:
            self._refused = True
            raise
        if config.hydra.sweeper.get("_target_") == SWEEPER:
            _name_by_study(config)
        else:
            pattern = written_pattern(config)
            try:  # one without interpolations is the same for all jobs, however many
                check_subdir(pattern, [pattern] * (1 if "${" in pattern else 2))
            except UserError as error:
                self._refused = True
                refuse(error)
            self._hold(_claim(config, "sweep"), "sweep")

    def _hold(self, folder: Path, kind: str, own: bool = False) -> None:
        """Keeps others out of a folder; ends the process where it is not empty, or another has it."""
        try:
            self._held.enter_context(claimed(folder, f"hydra.{kind}.dir={folder}", own=own))
        except UserError as error:
            self._refused = True
            refuse(error)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Ranks the runs of the sweep, however it ended; one that was refused has none and leaves nothing."""
        if self._refused:
            return
        self._held.close()
        ending = sys.exc_info()[1]
        folder = Path(config.hydra.sweep.dir)
        if ending and not any(path.is_dir() for path in folder.glob("*")):
            _forget(folder)
        elif not isinstance(ending, SystemExit) or ending.code != 2:
            from src.reports.report import report

            try:
                storage = config.hydra.sweeper.get("storage")
                ignore = OmegaConf.select(config, "checks.ignore") or ()
                report(folder, storage, not isinstance(ending, KeyboardInterrupt), ignore)
            except UserError as error:
                if not ending:
                    refuse(error)
                print(printable(str(error)), file=sys.stderr)


def _in_worker(sweep: int) -> Folders:
    if os.getppid() == sweep:
        _end_with(sweep)
    return Folders()


@cache
def _end_with(sweep: int) -> None:
    """Ends this process, a worker of joblib's, soon after its sweep was killed.

    It would go on with its trial for as long as that takes, and the same command started again would run
    that trial in the same folder meanwhile.
    """

    def watch() -> None:
        while os.getppid() == sweep:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="sweep").start()


def _name_by_study(config: DictConfig) -> None:
    sweeper = config.hydra.sweeper
    name = sweeper.study_name
    if not name:
        choices = config.hydra.runtime.choices
        name = choices.get("sweep") or choices.get("model") or config.hydra.job.name
        # The same search on other rows is another study.
        data = Path(str(config.data.path)).stem if choices.get("data") == "csv" else choices.get("data")
        name = re.sub(r"[^\w.+-]+", "-", f"{name}-{data}")
        _override(config, "hydra.sweeper.study_name", name)
    if not named_by_user(config, "hydra.sweep.dir"):
        _override(config, "hydra.sweep.dir", f"outputs/sweeps/{name}")


def _direct_by_objective(config: DictConfig) -> None:
    """Takes each direction from the objective's figures, where the command names none."""
    from src.config.objective import objectives

    key, given = "hydra.sweeper.direction", config.hydra.sweeper.get("direction")
    if "direction" in config.hydra.sweeper and not named_by_user(config, key):
        found = [direction_of(name) for name in objectives(config)]
        if given is None or (len(found) > 1 and not OmegaConf.is_list(given)):
            _override(config, key, found if len(found) > 1 else found[0])


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Ends the process in a line after a mistake: Hydra makes a warning of what a callback raises, and goes on."""
    try:
        yield
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") != "1" and (mistake := told(error)):
            refuse(mistake)
        raise


def _forget(folder: Path) -> None:
    """Removes a folder that holds what is written before a training starts and nothing else, and parents left empty."""
    for member in RunFolder(folder).members():
        _forget(member.path)
    files = [path.name for each in ("*.log", "events.out.*", "multirun.yaml", TABLES) for path in folder.glob(each)]
    before: dict[str, Callable[[Path], None]] = {".hydra": rmtree} | dict.fromkeys(files, Path.unlink)
    there = list(folder.iterdir()) if folder.is_dir() else []
    if not {path.name for path in there} <= before.keys():
        return
    for handler in list(logging.root.handlers):
        if Path(getattr(handler, "baseFilename", "/")).is_relative_to(folder.absolute()):
            logging.root.removeHandler(handler)  # a last word would open its file again
            handler.close()
    for path in there:
        before[path.name](path)
    remove_empty(folder)


def _claim(config: DictConfig, kind: str) -> Path:
    """The folder that the user named, else a new one that nobody else has; ends the process where there is no room."""
    key = f"hydra.{kind}.dir"
    # ${hydra:…} inside the pattern is read from there.
    wanted = path = Path(str(within(config, lambda: OmegaConf.select(config, key))))
    if named_by_user(config, key):
        return wanted
    for number in count(2):
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            path = wanted.with_name(f"{wanted.name}-{number}")
        except (OSError, ValueError) as error:
            if path.parent.is_dir():
                remove_empty(path.parent)
            refuse(f"{key}={path} cannot be written: {getattr(error, 'strerror', error)}")
    _override(config, key, str(path))
    return path


def _override(config: DictConfig, key: str, value: str | list[str]) -> None:
    """Sets a value as if it had been given on the command line: a sweep composes each job from that anew."""
    node, _, leaf = key.rpartition(".")
    parent, overrides = OmegaConf.select(config, node), config.hydra.overrides
    with read_write(parent), read_write(overrides):
        parent[leaf] = value
        text = QuotedString(value, Quote.single).with_quotes() if isinstance(value, str) else f"[{','.join(value)}]"
        overrides.hydra.append(f"{key}={text}")
