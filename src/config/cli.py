"""How every command ends: one line and an exit code for a mistake, 130 for Ctrl-C, 143 for SIGTERM."""

import os
import sys
from collections.abc import Callable
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Quote, QuotedString

from src.adapters import garbage
from src.adapters.hydra_errors import raised
from src.adapters.signals import as_ctrl_c, exit_code
from src.config.answers import told
from src.config.help import help_of, is_asked
from src.errors import UserError, first_line, log_printable, refuse

# What Hydra itself constructs for these commands: plugins, their samplers, log handlers and our callbacks. What a
# run is made of is decided by kind, in src/config/kinds.py, and never by this list.
ALLOWED = ("src.plugins.folders.Folders", "src.plugins.rows.Rows", "hydra_plugins.*", "optuna.*", "logging.*")


def door(command: Callable[[], Any], *paths: str) -> None:
    """Runs a command.

    Exits with 2 and a line after a mistake, whoever found it (``HYDRA_FULL_ERROR=1`` shows the traceback), with 130
    after Ctrl-C, and likewise with 128 and the signal's number after another that asks it to end.

    Args:
        command: what ``hydra.main`` made.
        paths: keys of the paths that may be given without one, in their order.
    """
    if is_asked(sys.argv[1:]):
        print(help_of(command.__name__, sys.argv[1:]))  # hydra.main keeps the function's name
        return
    garbage.seldom()
    log_printable()
    sys.argv[1:] = _with_keys(sys.argv[1:], list(paths))
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        command()
        return
    parser = get_args_parser()
    # argparse has no other place for its words; setattr, for a method may not be assigned to a type checker.
    setattr(parser, "error", lambda message: refuse(f"{message}; --help lists what there is"))  # noqa: B010
    overrides = parser.parse_intermixed_args(sys.argv[1:]).overrides
    try:
        with as_ctrl_c(), raised(lambda error: told(error, overrides)):
            command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(exit_code())
    except UserError as error:
        refuse(error)
    except ValueError as error:  # two flags that do not go together; all else Hydra reports
        refuse(first_line(error))


def _with_keys(arguments: list[str], keys: list[str]) -> list[str]:
    """Paths that stand alone get their keys."""
    found = []
    keys = [key for key in keys if not any(argument.startswith(f"{key}=") for argument in arguments)]
    for argument in arguments:
        bare = keys and "=" not in argument and not argument.startswith(("-", "~"))
        found.append(f"{keys.pop(0)}={QuotedString(argument, Quote.single).with_quotes()}" if bare else argument)
    return found
