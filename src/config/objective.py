"""What a run is judged by: the figures that it returns, and the one by which its best epoch is known."""

from src.config.values import Config
from src.training.task import larger_is_better


def monitored(cfg: Config) -> tuple[str | None, bool]:
    """The figure that decides which weights are best, and whether larger is better; None without validation rows."""
    if not cfg.data.val_fraction:
        return None, False
    monitor = objective(cfg)
    monitor = monitor if monitor.startswith("val/") else "val/mse"
    return monitor, larger_is_better(monitor)


def objective(cfg: Config) -> str:
    """The figure that a run is judged by: what is asked for (the first of several), else val/mse where there
    is validation, else train/mse."""
    return objectives(cfg)[0]


def objectives(cfg: Config) -> list[str]:
    """Every figure that a run returns to its sweep."""
    if cfg.objective is not None and not isinstance(cfg.objective, str):
        return [str(name) for name in cfg.objective]
    if cfg.get("folds") is not None and cfg.get("fold") is None:
        return [cfg.objective or "oof/mse"]
    return [cfg.objective or ("val/mse" if cfg.data.val_fraction else "train/mse")]
