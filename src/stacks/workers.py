"""Stacks as the units of work of other processes: some of this machine, or those of a Ray cluster."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals

Jobs = dict[int, list[str]]  # overrides by number
Work = Callable[["Orders", Jobs], dict[int, JobReturn]]


@dataclass(frozen=True)
class Orders:
    """What a worker needs to launch jobs as the sweep's own process would; pickled."""

    hydra_context: Any
    task_function: Any
    config: Any
    width: str | int
    singletons: Any
    folder: Path
    workers: None = None

    def settle(self) -> None:
        """Makes the worker's process like the sweep's own."""
        os.chdir(self.folder)
        setup_globals()
        Singleton.set_state(self.singletons)


def orders_of(launcher: Any) -> Orders:
    """Those of a launcher."""
    context, config = launcher.hydra_context, launcher.config
    return Orders(context, launcher.task_function, config, launcher.width, Singleton.get_state(), Path.cwd())


def count(workers: str | int, ray: dict[str, Any]) -> int:
    """How many there are; of Ray, after it was started or joined."""
    if workers != "ray":
        return int(workers)
    found = _ray(ray).cluster_resources()
    return max(1, int(found.get("CPU", 1)))


def spread(
    workers: str | int, ray: dict[str, Any], work: Work, orders: Orders, pieces: Sequence[Jobs]
) -> dict[int, JobReturn]:
    """Has the pieces run, as many at a time as there are workers, each by ``work``.

    Raises:
        Exception: a worker died; joblib and Ray each have their own.
    """
    if workers == "ray":
        module = _ray(ray)
        shared = module.put(orders)
        launch = module.remote(work)
        found = module.get([launch.remote(shared, piece) for piece in pieces])
    else:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=int(workers), backend="loky", batch_size=1)(
            delayed(work)(orders, piece) for piece in pieces
        )
    return {number: done for part in found for number, done in part.items()}


def cut(groups: Sequence[Sequence[int]], others: Sequence[int], workers: int) -> list[list[int]]:
    """Numbers of jobs as pieces of work: groups in as many parts as leave no worker idle, each other job by itself."""
    parts = -(-workers // max(1, len(groups)))
    pieces = []
    for group in groups:
        size = max(2, -(-len(group) // parts))
        pieces += [list(group[start : start + size]) for start in range(0, len(group), size)]
    return sorted(pieces, key=len, reverse=True) + [[number] for number in others]


def _ray(options: dict[str, Any]) -> Any:
    import ray

    if not ray.is_initialized():
        ray.init(**options)
    return ray
