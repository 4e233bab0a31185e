"""Optuna's importance of parameters, a second sooner than by its name alone; written for Optuna 5.0."""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_PACKAGE, _UNUSED = "optuna.importance", "sklearn.ensemble"


def importances(study: "Study", target: "Callable[[FrozenTrial], float]") -> dict[str, float]:
    """``get_param_importances``, by PED-ANOVA (Watanabe et al., 2023).

    The package imports scikit-learn and SciPy's statistics, if it can, for ways that are not asked for here. Whoever
    asks for the package afterwards gets it with them.

    Raises:
        ValueError, RuntimeError, ZeroDivisionError: the trials do not tell.
    """
    return dict(_package().get_param_importances(study, target=target))


@cache
def _package() -> Any:
    if _PACKAGE in sys.modules or _UNUSED in sys.modules:
        return import_module(_PACKAGE)
    import optuna

    before = vars(optuna)["importance"]
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # as documented, an import that fails
    try:
        return import_module(_PACKAGE)
    finally:
        for name in [_UNUSED, *(each for each in sys.modules if each.startswith(_PACKAGE))]:
            sys.modules.pop(name, None)
        optuna.importance = before  # Optuna's own, which imports when it is asked
