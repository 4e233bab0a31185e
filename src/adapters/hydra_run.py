"""A job of ``hydra.main`` inside a process that goes on afterwards; written for hydra-core 1.4.

``hydra.main`` is for the start of a process: it reads the command line, configures logging, which closes every
handler that there is, ends the process after an error, and leaves itself behind as the one Hydra of the process. The
class that it stands on takes its overrides as a list and leaves logging alone when told to, but is private.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.utils import execution_whitelist
from hydra.version import VersionBase
from omegaconf import DictConfig


def run(task: Callable[[DictConfig], Any], conf: Path, name: str, overrides: Sequence[str], allowed: Any) -> None:
    """Composes ``conf``/``name``.yaml with overrides and runs a task by it, in a folder and with callbacks as ever.

    Args:
        task: what is done with the configuration.
        conf, name: where that is; the name is also the job's.
        overrides: of the command line.
        allowed: names that Hydra may construct.

    Raises:
        Exception: whatever composing or the task raised.
    """
    with execution_whitelist(allowed):
        hydra = Hydra.create_main_hydra2(name, create_config_search_path(str(conf)))
        hydra.run(name, task, list(overrides), with_log_configuration=False)


@contextmanager
def as_before() -> Iterator[None]:
    """Hydra's state of the whole process is what it was, after the block."""
    hydra, job, version = GlobalHydra.instance(), JobRuntime.instance(), VersionBase.instance()
    before = hydra.hydra, deepcopy(job.conf), version.version_base, HydraConfig.instance().cfg
    hydra.clear()
    try:
        yield
    finally:
        hydra.hydra, job.conf, version.version_base, HydraConfig.instance().cfg = before
