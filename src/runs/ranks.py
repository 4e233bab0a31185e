"""The processes that train one run together: how the others start, and that all of them end.

Lightning would start each of them by the command line again. In a sweep that is the whole sweep, and alone it writes
a second log into the run folder. Here the first process hands the others its configuration; they train and nothing
else, and only the first writes.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch.distributed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from src.adapters.rendezvous import by_file, meet
from src.adapters.signals import ENDING
from src.config.values import Config, container
from src.errors import printable
from src.runs.folder import RunFolder

_PATIENCE = 20.0  # seconds for the others to end after the first, and for it to notice by itself that one has failed
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


class Ranks(_SubprocessScriptLauncher):
    """Starts the other processes of a run, as children that get its configuration by their standard input.

    Args:
        like: the launcher that Lightning chose.
        cfg: of the run.
        folder: where it is written, by the first process only.
        own: whether it goes on there.
    """

    def __init__(self, like: _SubprocessScriptLauncher, cfg: Config, folder: RunFolder, own: bool) -> None:
        super().__init__(like.cluster_environment, like.num_processes, like.num_nodes)
        self._said = json.dumps({"config": container(cfg), "folder": str(folder.path), "own": own})
        self._folder = folder
        self._over = threading.Event()

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Starts them, then calls the function."""
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        common = {
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with _signals_held():  # what a child inherits: signals are for the first process, which tells the others
            for rank in range(1, self.num_processes):
                own = os.environ | common | {"LOCAL_RANK": str(rank)}
                command = [sys.executable, "-m", "src.runs.join"]
                child = subprocess.Popen(command, env=own, stdin=subprocess.PIPE, text=True)
                self.procs.append(child)
                assert child.stdin is not None
                with suppress(BrokenPipeError):  # it is dead already, which is noticed below
                    child.stdin.write(self._said)
                    child.stdin.close()
        threading.Thread(target=self._watch, daemon=True, name="ranks").start()
        return function(*args, **kwargs)

    def failed(self, seconds: float = 0.0) -> str | None:
        """What became of a process that failed, waiting for one so long; None where none did."""
        until = time.monotonic() + seconds
        for rank, child in enumerate(self.procs, 1):
            with suppress(subprocess.TimeoutExpired):
                if child.wait(max(0.0, until - time.monotonic())):
                    code, number = child.returncode, self.num_processes
                    return f"process {rank + 1} of {number} failed with exit code {code}; it says why above"
        return None

    def wait(self) -> None:
        """Gives the others time to end by themselves."""
        for child in self.procs:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE)

    def end(self) -> None:
        """Ends whoever is left: it may wait for others for ever, and hear nothing meanwhile."""
        self._over.set()
        for child in self.procs:
            child.kill()
            child.wait()

    def _watch(self) -> None:
        """Ends this process where it waits for one that is dead: a collective operation never comes back then."""
        while not self._over.wait(0.5):
            message = self.failed()
            if message and not self._over.wait(_PATIENCE):
                self._folder.write_summary({"status": "failed", "message": message})
                print(printable(message), file=sys.stderr, flush=True)
                for child in self.procs:
                    child.kill()
                os._exit(1)


@contextmanager
def ranks(trainer: Trainer, cfg: Config, folder: RunFolder, own: bool) -> Iterator[None]:
    """Has a Trainer of several processes start the others by ``Ranks``; when the block ends, so have they.

    Others that were started by somebody else, torchrun or SLURM, are left to them.

    Raises:
        RuntimeError: one of the others failed; its own error is on standard error.
    """
    launcher = trainer.strategy.launcher
    others = isinstance(launcher, _SubprocessScriptLauncher)
    if not isinstance(launcher, _SubprocessScriptLauncher) or launcher.cluster_environment.creates_processes_externally:
        if others:
            meet(trainer.strategy)
        yield
        if others:
            _part()
        return
    before = {name: os.environ.get(name) for name in _VARIABLES}
    started = Ranks(launcher, cfg, folder, own)
    trainer.strategy._launcher = started
    try:
        with by_file():
            meet(trainer.strategy)
            yield
            started.wait()
    except Exception as error:
        if message := started.failed(1.0):  # it breaks the connection by which this one noticed as it ends
            raise RuntimeError(message) from error
        raise
    finally:
        started.end()
        _part()
        # The next run of a sweep starts its own, and would otherwise take itself for one of these.
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _part() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keeps Ctrl-C and its like back inside the block, and for ever from processes that start in it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(ENDING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
