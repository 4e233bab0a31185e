"""Spaces in which one choice decides what else there is to choose (``hydra.sweeper.custom_search_space``)."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

_LR = {"sgd": (1e-3, 1.0), "adam": (1e-4, 1e-1), "adamw": (1e-4, 1e-1), "rmsprop": (1e-4, 3e-2)}


def optimizer(cfg: DictConfig, trial: "Trial") -> None:
    """An optimizer, a learning rate from that optimizer's own range, and momentum for SGD."""
    name = trial.suggest_categorical("optimizer", list(_LR))
    low, high = _LR[name]
    trial.suggest_float("optimizer.lr", low, high, log=True)
    if name == "sgd":
        trial.suggest_float("optimizer.momentum", 0.0, 0.95)
