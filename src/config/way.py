"""Which of the two ways a training takes: the engine, or Lightning's own loop, and why."""

from collections.abc import Iterable, Mapping
from typing import Any

from src.config.values import Config
from src.errors import UserError

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
# Callbacks of Lightning that change what a run here has to itself, and what to do instead.
_REFUSED = {
    "LearningRateFinder": "trains to find a learning rate; python -m src.train -m sweep=lr does that",
    "BatchSizeFinder": "trains to find a batch size; a sweep over data.batch_size does that",
    "BaseFinetuning": "freezes and frees parts of a net, and best.ckpt needs all of it",
    "ModelPruning": "renames a net's parameters, and best.ckpt needs them by their names",
    "StochasticWeightAveraging": "brings a schedule of its own; EMAWeightAveraging and scheduler=cosine are alike",
    "WeightAveraging": "validates other weights than it trains, expected data.val_fraction=0 with it",
    "ThroughputMonitor": "needs a function, which a configuration cannot give",
}


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
    if target.endswith(".LBFGS"):
        return f"{target} evaluates the loss several times in a step"
    option = next((name for name in _LOOP_OPTIONS if trainer.get(name) is not None), None)
    return f"trainer.{option}={trainer[option]}" if option else None


def follows_steps(callbacks: Iterable[Any]) -> str | None:
    """Which callback sees or changes each optimizer step; such a one keeps its run out of the engine."""
    from lightning.pytorch import Callback
    from lightning.pytorch.callbacks import GradientAccumulationScheduler

    for callback in callbacks:
        if isinstance(callback, GradientAccumulationScheduler):
            return f"{type(callback).__name__} changes how many batches make an optimizer step"
        for hook in _STEP_HOOKS:
            # LambdaCallback has its hooks on the instance.
            if hook in vars(callback) or getattr(type(callback), hook, None) is not getattr(Callback, hook):
                return f"{type(callback).__name__}.{hook} follows each optimizer step"
    return None


def check_callbacks(callbacks: Mapping[str, Any], validated: bool) -> None:
    """Holds callbacks against what a run here lets them change.

    Args:
        callbacks: by name.
        validated: whether there are validation rows.

    Raises:
        UserError: one would not do here what it says.
    """
    from lightning.pytorch import callbacks as lightning

    for name, callback in callbacks.items():
        for kind, why in _REFUSED.items():
            if isinstance(callback, getattr(lightning, kind)) and (validated or kind != "WeightAveraging"):
                raise UserError(f"callbacks.{name}: {type(callback).__name__} cannot be used here: it {why}")


def check_accelerator(cfg: Config) -> None:
    """Asks for the GPU before Lightning is imported.

    Raises:
        UserError: one is wanted and there is none.
    """
    wanted = cfg.trainer.accelerator
    if wanted in ("gpu", "cuda", "mps"):
        import torch

        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        if not {"gpu": cuda or mps, "cuda": cuda, "mps": mps}[wanted]:
            raise UserError(f"trainer.accelerator={wanted}: there is none here, expected auto or cpu (trainer=default)")


def is_own(callback: Any) -> bool:
    """Whether a callback is one of ours, which need not see every epoch."""
    return type(callback).__module__.startswith("src.")
