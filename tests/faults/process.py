"""Commands as processes of their own that need no imports: forked from one that has them all."""

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch

from tests.commands import run_here


def warm() -> None:
    """Imports what a run imports, so that a forked one begins at once; starts no thread of ours."""
    from src.adapters.lightning_import import import_lightning

    import_lightning()
    for name in (
        *("src.train", "src.runs.fit", "src.runs.ensemble", "src.runs.draw", "src.runs.figures", "src.runs.terminal"),
        *(
            "src.stacks.ensemble",
            "src.stacks.group",
            "src.training.engine",
            "src.plugins.folders",
            "src.sweeping.sweep",
        ),
        *("src.reports.report", "src.adapters.tensorboard_events", "torch.utils.tensorboard.summary", "pyarrow.csv"),
        *("sklearn.datasets", "matplotlib.backends.backend_agg", "hydra.core.plugins"),
    ):
        import_module(name)


class Forked:
    """``python -m src.train ARGUMENTS`` in a process of its own group.

    Args:
        where: the folder that it is started in.
        arguments: of the command.
        before: called in the process first, to break something.
        output: where what it prints goes.
    """

    def __init__(
        self, where: Path, *arguments: str, before: Callable[[], None] | None = None, output: Path | None = None
    ) -> None:
        self.log = output or where / "output.txt"
        self.code: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._be(where, arguments, before)
        with suppress(OSError):
            os.setpgid(self.pid, self.pid)  # whichever of the two comes first

    def _be(self, where: Path, arguments: tuple[str, ...], before: Callable[[], None] | None) -> None:
        code = 70
        try:
            os.setpgid(0, 0)
            os.chdir(where)
            warnings.simplefilter("ignore")
            target = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, 1)
            os.dup2(target, 2)
            # Under pytest these two write elsewhere.
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
            torch.set_num_threads(1)  # a pool of threads does not outlive a fork, and whoever waits for it hangs
            if before is not None:
                before()
            code = run_here("train", *arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def over(self) -> bool:
        """Whether it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = 120) -> int:
        """Its exit code, negative for a signal; it is killed when it takes longer."""
        until = time.monotonic() + seconds
        while not self.over():
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(self.said())
            time.sleep(0.002)
        assert self.code is not None
        return self.code

    def kill(self) -> bool:
        """SIGKILL to it and all that it started; whether it was still at work."""
        if self.over():
            return False
        os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return True

    def send(self, number: int) -> None:
        """A signal to it alone."""
        if not self.over():
            os.kill(self.pid, number)

    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def until(self, reached: Callable[[], bool], seconds: float = 60) -> bool:
        """Waits for something that it does; whether it is still at work then."""
        latest = time.monotonic() + seconds
        while not reached():
            if self.over() or time.monotonic() > latest:
                return False
            time.sleep(0.001)
        return not self.over()
