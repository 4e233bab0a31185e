"""The sweeper's options, as plain values."""

from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from src.errors import UserError


@dataclass(frozen=True)
class Settings:
    """The sweeper's own options, by the names that upstream's sweeper gives them where it has them."""

    sampler: Any
    pruner: Any
    direction: Any
    storage: str | None
    study_name: str | None
    n_trials: int
    n_jobs: int | None
    max_failure_rate: float
    max_failures_in_a_row: int
    lives: int
    reports: int
    custom_search_space: str | None
    params: Any

    def check(self) -> None:
        """Holds each option against its range.

        Raises:
            UserError: naming the option, what was found and what is allowed.
        """
        for key in ("n_trials", "n_jobs", "max_failures_in_a_row", "lives", "reports"):
            value = getattr(self, key)
            if key == "n_jobs" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"hydra.sweeper.{key} must be a whole number from 1 on, found {value!r}")
        rate = self.max_failure_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise UserError(f"hydra.sweeper.max_failure_rate must be a number from 0 to 1, found {rate!r}")
        if not self.study_name or "/" in self.study_name:
            raise UserError(f"hydra.sweeper.study_name must be a name without /, found {self.study_name!r}")

    def directions(self) -> list[str]:
        """minimize or maximize, one for each objective.

        Raises:
            UserError: one is neither.
        """
        given = self.direction
        items = list(given) if OmegaConf.is_list(given) or isinstance(given, (list, tuple)) else [given]
        names = [str(getattr(item, "name", item)).rpartition(".")[2] for item in items]
        for name in names:
            if name not in ("minimize", "maximize"):
                raise UserError(f"hydra.sweeper.direction must be minimize or maximize, found {name!r}")
        return names
