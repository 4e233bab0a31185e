"""A run as Python has it: what it came to, its net, and predictions for new rows."""

import sys
from base64 import b64encode
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.table import listed
from src.errors import UserError
from src.runs.folder import RunFolder
from src.training.task import METRICS, suffixes

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from src.runs.ensemble import Ensemble
    from src.training.predictor import Predictor


class Run:
    """A run's folder; its files are read when they are asked for.

    Args:
        folder: the run's, one of its checkpoints, ``last`` or ``best``.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.

    Raises:
        UserError: there is no such run.
    """

    def __init__(self, folder: str | Path, trust: Collection[str] = ()) -> None:
        self._files = RunFolder(RunFolder.existing(folder).path.absolute())  # whatever becomes of the current folder
        self._checkpoint = "last" if str(folder).endswith("last.ckpt") else "best"
        self._trust = tuple(trust)

    @property
    def folder(self) -> Path:
        """Where the run lies, absolute."""
        return self._files.path

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json; {} while the run is still going on."""
        return self._files.read_summary()

    @property
    def status(self) -> str:
        """How the run ended; ``unfinished`` where it has not said so."""
        return str(self.summary.get("status", "unfinished"))

    @property
    def metrics(self) -> dict[str, float]:
        """The run's figures by SPLIT/METRIC, in the target's unit; {} of one that came to none.

        Of several targets those are SPLIT/METRIC/TARGET, and SPLIT/METRIC the means over them, in standard deviations.
        """
        return self.summary.get("metrics", {})

    @property
    def history(self) -> "pd.DataFrame":
        """metrics.csv: a row for each epoch that was logged; a figure that was not due is missing."""
        import pandas as pd

        frame = pd.DataFrame(self._files.read_metrics())
        return frame.astype({name: int for name in ("epoch", "step") if name in frame})

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures' paths by name; {} where none was drawn."""
        return {path.stem: path for path in sorted(self._files.figures.glob("*.*"))}

    @property
    def model(self) -> "nn.Module":
        """The trained net, on the CPU, from encoded features to encoded targets; of several models a ModuleList."""
        from torch import nn

        found = self._predictor
        return nets[0] if len(nets := [each.net for each, _ in found.flat()]) == 1 else nn.ModuleList(nets)

    def predict(self, rows: Any, interval: float | None = None) -> "pd.Series[float] | pd.DataFrame":
        """The target for each row, in its own unit.

        Args:
            rows: a pandas DataFrame or an Arrow table with the run's feature columns, in any order, beside others.
            interval: between 0 and 1; columns ``TARGET_low`` and ``TARGET_high`` are added, between which so many
                targets lie.

        Returns:
            ``TARGET_predicted`` by the index of ``rows``; of several targets, with an interval, or of a run of
            quantiles, the columns that ``python -m src.predict`` adds to a file.

        Raises:
            UserError: a column is missing, or a cell is of another kind or a gap where there was none in training; the
                run has no checkpoint, or nothing to tell an interval from.
        """
        import pandas as pd

        from src.data.given import Given
        from src.data.stream import like
        from src.runs.interval import ends_of, outputs

        given, predictor, missing = Given(rows), self._predictor, list(self._config.data.get("missing") or [])
        ends = ends_of(self._files, predictor.levels, interval)
        pieces = like(predictor.encoder.columns, given, missing, predictor.dtype)
        found = np.concatenate([predictor.on(each.columns, every=True)(each.features) for each in pieces])
        columns = outputs(predictor.encoder.target_names, predictor.levels, ends)
        index = rows.index if isinstance(rows, pd.DataFrame) else None
        frame = pd.DataFrame({name: found[:, place] + far for name, place, far in columns}, index=index)
        return frame if frame.shape[1] > 1 else frame.iloc[:, 0]

    @cached_property
    def _config(self) -> Any:
        from src.runs.restore import load_config

        return load_config(self._files, ("model",), self._trust)

    @cached_property
    def _predictor(self) -> "Predictor | Ensemble":
        from src.runs.restore import load_predictor

        with random_numbers_as_before():
            return load_predictor(self._files, self._config, self._checkpoint, self._trust)

    def __repr__(self) -> str:
        """Status, objective and folder, in a line."""
        objective = self.summary.get("objective") or {}
        value = objective.get("value")
        said = "" if value is None else f", {objective['name']} = {value:.6g}"
        return f"Run({str(self.folder)!r}: {self.status}{said})"

    def _repr_html_(self) -> str:
        """The same for a notebook, with the figures by split and the fit."""
        import pandas as pd

        try:
            summary = self.summary
        except UserError as error:
            return f"<p>{escape(str(error))}</p>"
        data, metrics = summary.get("data", {}), summary.get("metrics", {})
        of = f"{Path(data['source']).name}: {listed(data['target'])}" if data else self.folder.name
        said = summary.get("stopped") or summary.get("message") or ""
        lines = [f"<b>{escape(of)}</b>", escape(": ".join(filter(None, (self.status, said))))]
        lines.append(f"<code>{escape(str(self.folder))}</code>")
        splits = dict.fromkeys(name.partition("/")[0] for name in metrics)
        ends = suffixes(data.get("target", ""))
        rows = {
            f"{split}, {what}" if end else split: [metrics.get(f"{split}/{name}{end}") for name in METRICS]
            for split in splits
            for what, end in ends.items()
        }
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(METRICS))
        table = frame.to_html(float_format="{:.6g}".format, border=0) if rows else ""
        return f"<div><p>{'<br>'.join(lines)}</p>{table}{self._picture()}</div>"

    def _picture(self) -> str:
        path = self._files.figures / "fit.png"
        if not path.is_file():
            return ""
        return f'<img alt="fit" width="420" src="data:image/png;base64,{b64encode(path.read_bytes()).decode()}">'


@contextmanager
def random_numbers_as_before() -> Iterator[None]:
    """Building a net seeds torch; the program's own random numbers go on as if that had not happened."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()):
        yield
