"""A run without a process of its own: composed and trained as the command line would."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

CONF = Path(__file__).parents[1] / "conf"


def composed(*overrides: str) -> DictConfig:
    """conf/train.yaml with overrides, resolved; ``name`` is what the model is called."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF)):
        cfg = compose("train", list(overrides), return_hydra_config=True)
    with open_dict(cfg):
        cfg.name = cfg.hydra.runtime.choices.model
        del cfg["hydra"]
    OmegaConf.resolve(cfg)
    return cfg


def trained(path: Path, *overrides: str, figures: bool = False) -> dict[str, Any]:
    """Trains into ``path`` and returns the summary."""
    from src.config import build
    from src.config.check import check, settle
    from src.runs.ensemble import is_several
    from src.runs.fit import fit
    from src.runs.folder import RunFolder
    from src.stacks.ensemble import fit_together

    cfg = composed(*overrides)
    settle(cfg)
    check(cfg)
    folder = RunFolder(path)
    folder.config.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder.config)
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"cwd": str(Path.cwd())}}}), folder.hydra)
    return (fit_together if is_several(cfg) else fit)(cfg, build.table(cfg), folder, "", list(overrides), figures)
