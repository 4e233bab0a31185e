"""How every command ends: one line and an exit code for a mistake, 130 for Ctrl-C."""

import os
import sys
from collections.abc import Callable
from typing import Any

from omegaconf import MissingMandatoryValue

from src.config.help import help_of, is_asked
from src.errors import UserError

# What Hydra itself constructs for these commands: plugins, their samplers, log handlers and our callback. What a
# run is made of is decided by kind, in src/config/kinds.py, and never by this list.
ALLOWED = ("src.plugins.folders.Folders", "hydra_plugins.*", "optuna.*", "logging.*")


def door(command: Callable[[], Any]) -> None:
    """Runs a command.

    Exits with 2 and the message after a UserError (``HYDRA_FULL_ERROR=1`` shows the traceback), with 130
    after Ctrl-C. Hydra's own errors keep Hydra's exit code 1.
    """
    if is_asked(sys.argv[1:]):
        print(help_of(command.__name__, sys.argv[1:]))  # hydra.main keeps the function's name
        return
    if os.environ.get("HYDRA_FULL_ERROR") != "1":
        # Hydra hands a job's exception to this hook before it exits with 1.
        sys.excepthook = _one_line
    try:
        command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error, file=sys.stderr)
        sys.exit(2)


def _one_line(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if isinstance(error, MissingMandatoryValue):
        error = UserError(f"{error.full_key} has to be given, as in {error.full_key}=…")
    if isinstance(error, UserError):
        print(error, file=sys.stderr)
        raise SystemExit(2)
    sys.__excepthook__(kind, error, traceback)
