"""Does what a node constructs take the arguments that the node gives it?"""

import inspect
from collections.abc import Collection
from typing import Any

from src.config.answers import ALSO
from src.config.kinds import resolve
from src.errors import UserError, nearest


def check_arguments(value: Any, key: str, given: Collection[str] = ()) -> None:
    """Holds a node, and every node within, against the signature of its ``_target_``.

    Args:
        value: plain values.
        key: where they stand.
        given: arguments that do not come from the configuration.

    Raises:
        UserError: there is no such argument, or the run gives it itself.
    """
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        check_arguments(inner, f"{key}.{name}")
    if not isinstance(value, dict) or "_target_" not in value:
        return
    try:
        parameters = inspect.signature(resolve(value["_target_"], key)).parameters
    except (TypeError, ValueError):  # no signature to be had
        return
    check_names([name for name in value if not str(name).endswith("_")], key, value["_target_"], parameters, given)


def check_names(
    names: Collection[str], key: str, target: str, parameters: Any, given: Collection[str], more: Collection[str] = ()
) -> None:
    """Holds arguments against a signature's parameters.

    Args:
        names: of the arguments.
        key: of the node that gives them.
        target: whose parameters they should be.
        parameters: by name, as ``inspect`` has them.
        given: those that do not come from the configuration.
        more: what else may be said there.

    Raises:
        UserError: one is not taken.
    """
    kinds = {each.kind for each in parameters.values()}
    there = [name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD and name not in given]
    for name in names:
        if name in given:
            raise UserError(f"{key}.{name}: the run sets it itself{nearest(name, there)}")
        if name not in [*there, *more] and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise UserError(
                f"{key}.{name}: {target} takes no {name!r}, so nobody reads it{nearest(ALSO.get(name, name), there)}"
            )
