"""Lightning's Trainer, from a configuration."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config.arguments import check_names
from src.config.values import Config, container
from src.errors import UserError, first_line

if TYPE_CHECKING:
    import lightning.pytorch as pl


def make_trainer(
    cfg: Config, callbacks: "list[pl.Callback]", loggers: list[Any], plain: bool, span: bool, root: Path | None = None
) -> "pl.Trainer":
    """Lightning's Trainer.

    Args:
        plain: whether the module leaves steps to it.
        span: whether executions may hold several epochs, as the DataModule says.
        root: where callbacks write that are not told where; None for the current folder, where nothing should.

    Raises:
        UserError: Lightning refuses an option, or the accelerator is not there.
    """
    import lightning.pytorch as pl
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import Checkpoint, ProgressBar
    from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
    from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

    ours = ("steps_per_execution", "threads")
    set_here = (
        *("callbacks", "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"),
        *("num_sanity_val_steps", "use_distributed_sampler"),
    )
    parameters = inspect.signature(pl.Trainer).parameters
    check_names(list(cfg.trainer), "trainer", "Lightning's Trainer", parameters, set_here, ours)
    options: Any = {"default_root_dir": root} | {
        key: value for key, value in container(cfg.trainer).items() if key not in ours
    }
    if not plain:
        # The engine clips; to Lightning such a module optimizes "manually".
        options |= {"gradient_clip_val": None, "gradient_clip_algorithm": None}
    if options.get("deterministic") is False and not torch.are_deterministic_algorithms_enabled():
        del options["deterministic"]  # to be told what is so, torch imports its compiler
    if span:
        options["limit_val_batches"] = 0  # epochs are validated inside an execution
    try:
        made = pl.Trainer(
            **options,
            callbacks=callbacks,
            logger=loggers or False,
            # Or Lightning would add its own, which writes to wherever the command was started.
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        asked = ", ".join(f"trainer.{name}={options[name]}" for name in ("accelerator", "devices", "strategy"))
        raise UserError(f"{asked}: {first_line(error)}") from error
    if not isinstance(made.strategy, SingleDeviceStrategy) and not (
        isinstance(made.strategy, DDPStrategy) and isinstance(made.strategy.launcher, _SubprocessScriptLauncher)
    ):
        # Others hand back no history, or keep a part of the weights only.
        raise UserError(f"trainer.strategy={cfg.trainer.strategy}: expected auto or ddp")
    if str(cfg.trainer.precision) in ("16", "16-mixed") and made.strategy.root_device.type == "cpu":
        # Lightning would take bfloat16 without a word that is heard.
        raise UserError(
            f"trainer.precision={cfg.trainer.precision} needs a GPU, found the device cpu, "
            "expected bf16-mixed or 32-true"
        )
    return made
