"""A run folder: where its files lie, and how they are written and read."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.adapters.files import remove_partial
from src.adapters.hydra_compose import config_dir
from src.errors import UserError, first_line
from src.runs.files import write_text
from src.runs.find import find
from src.runs.metrics_file import append, cut, read
from src.runs.status import FAILED, INTERRUPTED
from src.runs.summary_file import is_as_written, read_summary, text_of
from src.secrets import masked_overrides

if TYPE_CHECKING:
    import numpy as np

OWNED = (
    "summary.json",
    "metrics.csv",
    "checkpoints",
    "figures",
    "members",
    "predictions_oof.csv",
)  # what a run writes, and a second attempt replaces
MIXTURE = "ensemble"  # in a sweep's folder, a run that is put together from its runs
_QUICK = 1 << 18  # bytes of metrics.csv that a run's end may read again
TABLES = "table-????????.parquet"  # rows that Python handed over, by the first of their SHA-256
_SIGNATURE = "src.plugins.folders.Folders"  # what Hydra's record of a job of ours names, and nobody else's


class RunFolder:
    """The files of one run. ``summary.json`` is written last, so a folder that has one is complete."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / ".hydra" / "config.yaml"
        self.hydra = self.path / ".hydra" / "hydra.yaml"
        self.summary = self.path / "summary.json"
        self.metrics = self.path / "metrics.csv"
        self.checkpoints = self.path / "checkpoints"
        self.figures = self.path / "figures"
        self.out_of_fold = self.path / "predictions_oof.csv"

    @classmethod
    def existing(cls, path: str | Path, key: str = "run") -> "RunFolder":
        """The run at ``path``, which was named by ``key``: a folder, one of its checkpoints, ``last`` or ``best``.

        Raises:
            UserError: there is none.
        """
        if not str(path).strip() or isinstance(path, bool) or not isinstance(path, (str, int, Path)):
            raise UserError(f"{key} must be a run folder, found {path!r}")
        found = find(str(path), key)
        folder = cls(found.parents[1] if found.suffix == ".ckpt" and found.parent.name == "checkpoints" else found)
        if not folder.path.is_dir():
            raise UserError(f"{key}={path}: no such folder")
        if not folder.config.is_file():
            raise UserError(f"{key}={path}: is no run folder (it has no .hydra/config.yaml)")
        return folder

    @classmethod
    def with_checkpoint(cls, run: str, checkpoint: str) -> tuple["RunFolder", str]:
        """The run that ``run=`` names, and which of its checkpoints: the one that it names, or else ``checkpoint``.

        Raises:
            UserError: there is no such run, or it has no such checkpoint.
        """
        name = Path(run).stem if str(run).endswith(".ckpt") else checkpoint
        if name not in ("best", "last"):
            raise UserError(f"checkpoint must be one of best, last, found {name!r}")
        folder = cls.existing(run)
        for each in folder.members() or [folder]:
            each.checkpoint(name)
        return folder, name

    def member(self, place: int) -> "RunFolder":
        """The run of one of several models that predict together."""
        return RunFolder(self.path / "members" / str(place))

    def members(self) -> list["RunFolder"]:
        """The runs of the models that predict together, in their order; none where the run is of one model."""
        found = (path for path in (self.path / "members").glob("*") if path.name.isdecimal())
        return [RunFolder(path) for path in sorted(found, key=lambda path: int(path.name))]

    def checkpoint(self, name: str) -> Path:
        """``best`` or ``last``.

        Raises:
            UserError: the run has no such checkpoint.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if not path.is_file():
            raise UserError(f"{self.path}: has no checkpoint checkpoints/{name}.ckpt")
        return path

    def begun(self) -> bool:
        """Whether a training here wrote a checkpoint: there is something to go on from."""
        return any((self.checkpoints / f"{name}.ckpt").is_file() for name in ("last", "previous"))

    def why_not(self, again: Sequence[str] | None = None, own: bool = False) -> str | None:
        """Why a run may not be written here, in words that follow the folder's name; None where it may.

        Args:
            again: the overrides of a job of a sweep, whose folder may hold what a killed attempt at the same job left.
                None for a run by itself, whose folder is new or empty.
            own: whether the run in the folder goes on there.
        """
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return None
        if own:
            return None if RunFolder(self.path.resolve()).is_ours() else "holds files that are not a run's"
        if again is None:
            there = self.config.is_file() or self.summary.is_file()
            more = f", or go on with the run in it by resume={self.path} as well" if there else ""
            return f"is not empty, expected a new or an empty folder: choose another{more}"
        if not self.is_ours():
            return "holds files that are not a run's of this sweep: move them away"
        try:
            summary = self.read_summary()
        except UserError:
            return None  # torn, as a power cut may leave it
        finished = summary and summary.get("status") not in (FAILED, INTERRUPTED)
        if finished and _of_the_task(summary.get("overrides", [])) != _of_the_task(again):
            return "holds a run with other overrides: move it away"
        return None

    def is_ours(self) -> bool:
        """Whether everything here that a new attempt would replace was written by a run of ours."""
        if any(path.is_symlink() for path in (self.path, *self.path.iterdir())):
            return False
        if self.hydra.with_name("overrides.yaml").is_file():  # which Hydra writes last
            return self.hydra.is_file() and _SIGNATURE in self.hydra.read_text(encoding="utf-8", errors="replace")
        # Killed before Hydra had written all of it: nothing of a run but empty folders.
        return not any(path.is_file() or any(map(Path.is_file, path.rglob("*"))) for path in self._owned())

    def others(self) -> list[str]:
        """The names of what is here and was not written by a run: predictions, notes, somebody's own files."""
        own = {path.name for path in self._owned()} | {".hydra"}
        patterns = ("*.log", TABLES, "*.partial")
        own |= {path.name for pattern in patterns for path in self.path.glob(pattern)}
        return sorted({path.name for path in self.path.iterdir()} - own)

    def _owned(self) -> list[Path]:
        owned = [self.path / name for name in OWNED if (self.path / name).exists()]
        return [*owned, *self._events(), *self.path.glob("summary.json.*.partial")]

    def _events(self) -> list[Path]:
        return list(self.path.glob("events.out.tfevents.*"))

    def tidy(self) -> None:
        """Removes what a killed process was writing; while nobody else is at work here."""
        for folder in (self.path, self.checkpoints, self.hydra.parent):
            remove_partial(folder)

    def reopen(self, epochs: int) -> None:
        """Makes ready for going on after so many epochs: what is said of later ones, or of an end, goes.

        Curves of TensorBoard are written anew from metrics.csv.
        """
        self.tidy()
        cut(self.metrics, epochs)
        for path in (self.summary, *self._events()):
            path.unlink(missing_ok=True)

    def clear(self, again: Sequence[str] | None = None) -> None:
        """Removes what a killed attempt at the same job left, so that no file of two runs stands side by side.

        Raises:
            UserError: something is there that is not such an attempt's; nothing is removed.
        """
        from shutil import rmtree

        owned = self._owned()
        if owned and (reason := self.why_not(again)):
            raise UserError(f"{self.path} {reason}")
        self.tidy()
        for path in owned:
            if path.is_dir():
                rmtree(path)
            else:
                path.unlink()

    def read_summary(self) -> dict[str, Any]:
        """What the run came to; {} while it is still going on.

        Raises:
            UserError: summary.json is no JSON object, or not as it was written.
        """
        return read_summary(self.summary) if self.summary.is_file() else {}

    def write_summary(self, summary: dict[str, Any], durable: bool = True) -> None:
        """Writes summary.json in one atomic step, with the checksums of what else a later command reads.

        Args:
            summary: what the run came to.
            durable: whether it outlives a power cut from here on.
        """
        text = text_of(summary, [self.config, self.metrics, self.out_of_fold], self.path)
        write_text(self.summary, text, durable)

    def is_as_written(self, path: Path) -> bool:
        """Whether a file of this run is what it was when the run ended; also where its summary does not say.

        Raises:
            UserError: summary.json is damaged.
        """
        if not self.summary.is_file():
            return True
        return is_as_written(self.summary, path, self.path)

    def append_metrics(self, table: Mapping[str, "np.ndarray"]) -> None:
        """Adds rows (rows,) by column to metrics.csv; a validation figure that was not due stays empty."""
        append(self.metrics, table, [name for name in table if name.startswith("val/")])

    def metrics_are_few(self) -> bool:
        """Whether metrics.csv is read within some milliseconds."""
        return self.metrics.is_file() and self.metrics.stat().st_size <= _QUICK

    def read_metrics(self) -> dict[str, list[float]]:
        """The columns of metrics.csv; nan where a row has no figure. {} where there is no such file.

        Raises:
            UserError: it is damaged.
        """
        try:
            if not self.is_as_written(self.metrics):
                raise ValueError(f"{self.metrics}: is damaged, its checksum in summary.json is another one")
            return read(self.metrics)
        except (OSError, ValueError) as error:
            raise UserError(first_line(error)) from None


def run_command(overrides: Sequence[str], swept: bool) -> str:
    """The command that does a run, alone; for a run of a sweep, what asked for the sweep must not ask again."""
    sweeps = swept and any(override.startswith(("experiment=", "sweep=")) for override in overrides)
    words = ["python", "-m", "src.train", *masked_overrides([*config_dir(), *overrides])]
    return shlex.join([*words, *(["hydra.mode=RUN"] if sweeps else [])])


def _of_the_task(overrides: Sequence[str]) -> list[str]:
    """Overrides without those of Hydra, which may number a job differently in another process."""
    return [text for text in masked_overrides(overrides) if not text.lstrip("+~").startswith("hydra.")]
