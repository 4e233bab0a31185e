"""Which of the two ways a training takes: the engine, or Lightning's own loop, and why."""

from collections.abc import Iterable
from typing import Any

from src.values import Config

FULL_PRECISION = ("32", "32-true", "64", "64-true")
# Trainer options that change what a batch or an epoch is to Lightning's own loop.
_LOOP_OPTIONS = (
    "limit_train_batches",
    "limit_val_batches",
    "overfit_batches",
    "fast_dev_run",
    "val_check_interval",
)
# Hooks that Lightning calls around an optimizer step: the engine takes many of those in one training step.
_STEP_HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)


def why_plain(cfg: Config) -> str | None:
    """Why the engine cannot serve this configuration, from its values alone; None where it can."""
    if reason := needs_lightnings_step(cfg):
        return reason
    return "trainer.steps_per_execution=1 asks for it" if cfg.trainer.steps_per_execution == 1 else None


def needs_lightnings_step(cfg: Config) -> str | None:
    """Why a training needs Lightning's own step, asked for or not; an update written by hand cannot have it."""
    trainer = cfg.trainer
    if str(trainer.precision) not in FULL_PRECISION:
        return f"trainer.precision={trainer.precision} needs Lightning's own step"
    if str(trainer.devices) != "1" or trainer.strategy not in ("auto", "single_device"):
        return f"trainer.devices={trainer.devices}, trainer.strategy={trainer.strategy}: several devices"
    if trainer.accumulate_grad_batches != 1:
        return f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}"
    target = str(cfg.optimizer.get("_target_"))
    if not target.startswith("torch.optim."):
        return f"{target} is no optimizer of torch.optim"
    if target.endswith(".LBFGS"):
        return f"{target} evaluates the loss several times in a step"
    option = next((name for name in _LOOP_OPTIONS if trainer.get(name) is not None), None)
    return f"trainer.{option}={trainer[option]}" if option else None


def follows_steps(callbacks: Iterable[Any]) -> str | None:
    """Which callback wants to see each optimizer step; such a one keeps its run out of the engine."""
    from lightning.pytorch import Callback

    for callback in callbacks:
        for hook in _STEP_HOOKS:
            if getattr(type(callback), hook, None) is not getattr(Callback, hook):
                return f"{type(callback).__name__}.{hook} follows each optimizer step"
    return None


def is_own(callback: Any) -> bool:
    """Whether a callback is one of ours, which need not see every epoch."""
    return type(callback).__module__.startswith("src.")
