"""What Hydra's own settings, and a sweep's first job, may be: asked before there is a folder."""

from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from src.config.keys import check_keys
from src.config.resolvers import within
from src.config.rules import RULES
from src.errors import UserError


def check_settings(config: DictConfig, kind: str) -> None:
    """Refuses settings of Hydra's with which a run folder would be none."""
    hydra, folder = config.hydra, within(config, lambda: OmegaConf.select(config, f"hydra.{kind}.dir"))
    if hydra.job.chdir:
        raise UserError("hydra.job.chdir=true: paths are read from where the command was started, expected false")
    if hydra.output_subdir != ".hydra":
        raise UserError(
            f"hydra.output_subdir={hydra.output_subdir}: a run folder is known by its .hydra, expected .hydra"
        )
    if not str(folder or "").strip():
        raise UserError(f"hydra.{kind}.dir must be a folder, found {folder!r}")


def check_first_job(config: DictConfig) -> None:
    """Holds the keys of a sweep's first job against what is read, before there is a folder."""
    first, loader = [], GlobalHydra.instance().config_loader()
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(config.hydra.overrides.task)):
        text = str(override.input_line)
        if override.is_discrete_sweep():
            text = f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
        elif override.is_sweep_override():
            if config.hydra.sweeper._target_.endswith(".BasicSweeper"):
                raise UserError(
                    f"{text}: hydra/sweeper=basic tries listed values only; an interval takes a sampler, as in "
                    f"-m hydra/sweeper=durable hydra.sweeper.n_trials=20 '{text}'"
                )
            swept: Any = override.value()
            text = f"{override.get_key_element()}={swept.start}"
        first.append(text)
    new = OmegaConf.select(config, "study.new")
    if expected := RULES["study"]["new"].complaint(new):  # which the sweep asks before its jobs do
        raise UserError(f"study.new must be {expected}, found {new!r}")
    check_keys(loader.load_sweep_config(config, first))
