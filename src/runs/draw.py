"""The pictures of a run, and the same for TensorBoard."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config import build
from src.config.objective import objective
from src.config.values import Config, container, flatten
from src.runs.folder import RunFolder
from src.runs.status import DIVERGED
from src.runs.unit import metric_of
from src.secrets import masked
from src.training.predictor import Predictor
from src.training.task import larger_is_better
from src.training.tensorboard import Curves, TensorBoard

if TYPE_CHECKING:
    from src.data.partition import Partition
    from src.runs.ensemble import Judged
    from src.runs.figures import Run
    from src.runs.reference import Reference

log = logging.getLogger(__name__)

_KEPT = ("optimizer", "model", "scheduler", "loss", "data", "trainer", "seed")  # what HPARAMS shows, in its order


def draw(
    cfg: Config,
    folder: RunFolder,
    predictor: Predictor,
    reference: "Reference",
    summary: dict[str, Any],
    figures: bool,
) -> dict[str, bytes]:
    """Writes into figures/ what is asked for, and returns the PNGs by name.

    Where ``figures`` are wanted these are curves, and, unless diverged, fit and residuals; ``cfg.graph`` and
    ``cfg.descent`` ask for more. One that cannot be drawn is a warning: the result stands without it.
    """
    pictures: dict[str, bytes] = {}
    if figures:
        with optional("figures/"):
            from src.runs.picture import of_one

            pictures = write(of_one(cfg, folder, predictor, reference, summary), folder)
    if cfg.graph:
        with optional("figures/graph.svg"):
            _draw_graph(cfg, folder, predictor, reference.part)
    if cfg.get("descent") and summary["status"] != DIVERGED:
        with optional("figures/descent.gif"):
            _draw_descent(cfg, folder, reference)
    return pictures


def draw_several(
    cfg: Config,
    folder: RunFolder,
    predictors: "Sequence[Predictor]",
    parts: "Sequence[Partition]",
    judged: "Judged",
    summary: dict[str, Any],
) -> None:
    """The same for models that predict together: their mean, and the rows as models that did not see them judge them.

    Args:
        predictors, parts: of the models.
        judged: what they come to together.
        summary: their ``metrics``, and of folds the ``interval``.
    """
    with optional("figures/"):
        from src.runs.picture import of_several

        write(
            of_several(cfg, [each.read_metrics() for each in folder.members()], predictors, parts, judged, summary),
            folder,
        )


def write(run: "Run", folder: RunFolder) -> dict[str, bytes]:
    """Draws what there is to draw of a run into figures/; returns the PNGs by name."""
    from src.figures.canvas import png
    from src.runs.figures import FIGURES

    pictures: dict[str, bytes] = {}
    folder.figures.mkdir(parents=True, exist_ok=True)
    for name, figure in FIGURES.items():
        with optional(f"figures/{name}.png"):
            if drawn := figure(run):
                pictures[name] = png(drawn)
                (folder.figures / f"{name}.png").write_bytes(pictures[name])
    return pictures


def _draw_graph(cfg: Config, folder: RunFolder, predictor: Predictor, part: "Partition") -> None:
    from src.figures.graph import autograd_graph, draw_graph

    rows, wanted = part.sample(8)
    net = predictor.net.train()
    loss = build.construct(cfg.loss, "loss")(net(rows.to(next(net.parameters()).dtype)), wanted)
    folder.figures.mkdir(parents=True, exist_ok=True)
    draw_graph(autograd_graph(loss, dict(net.named_parameters())), folder.figures / "graph.svg")
    net.eval()


def _draw_descent(cfg: Config, folder: RunFolder, reference: "Reference") -> None:
    from src.figures.descent import draw_descent
    from src.runs.picture import descent_of

    folder.figures.mkdir(parents=True, exist_ok=True)
    draw_descent(descent_of(cfg, folder, reference), folder.figures / "descent.gif")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """What a finished run can do without: an error in it is a line in the log."""
    try:
        yield
    except Exception as error:
        log.warning("%s is left out: %s: %s", what, type(error).__name__, " ".join(str(error).split()))


def write_dashboard(
    logger: Any,
    cfg: Config,
    predictor: Predictor,
    part: "Partition",
    summary: dict[str, Any],
    pictures: dict[str, bytes],
) -> None:
    """Ends an event file: figures and model graph where they were drawn, hyperparameters with final metrics.

    What cannot be written is a warning, as in ``draw``.
    """
    if not isinstance(logger, TensorBoard):
        with optional("the logger's hyperparameters"):
            if hasattr(logger, "log_hyperparams"):
                logger.log_hyperparams(flat(cfg))
        return
    if logger.broken:
        return
    for name, picture in pictures.items():
        with optional(f"TensorBoard's picture {name}"):
            logger.file.image(name, picture, summary["epochs"])
    if pictures:
        with optional("TensorBoard's model graph"):
            example, _ = part.sample(2)
            logger.file.graph(predictor.net, example.to(next(predictor.net.parameters()).dtype))
    with optional("TensorBoard's custom scalars"):
        _write_layout(logger, cfg, part, summary)
    with optional("TensorBoard's hyperparameters"):
        logger.finish(summary["metrics"], flat(cfg) | {"→ status": summary["status"]}, summary["epochs"])
    with optional("the end of TensorBoard's file"):
        logger.close()


def curves(cfg: Config, part: "Partition") -> Curves:
    """What the curves of a run mean to TensorBoard."""
    aim = objective(cfg)
    return Curves(aim, larger_is_better(aim), *metric_of(cfg, part.encoder.targets))


def _write_layout(logger: TensorBoard, cfg: Config, part: "Partition", summary: dict[str, Any]) -> None:
    """CUSTOM SCALARS: the loss by split in one unit, and a line's parameters beside those of least squares."""
    metric, _ = metric_of(cfg, part.encoder.targets)
    charts = {f"{metric} by split": [f"train/{metric}", f"val/{metric}"]}
    if metric is None:
        charts = {"loss, as trained": ["train/loss"], "mse, val": ["val/mse"]}
    for name in ("slope", "intercept"):
        if name in summary["parameters"] and name in summary["reference"]:
            charts[name] = [name, f"{name}/least squares"]
            ends = np.unique([1, max(1, summary["epochs"])])
            logger.file.scalars(ends, {charts[name][1]: np.full(len(ends), summary["reference"][name])})
    logger.file.layout({"training": charts})


def flat(cfg: Config) -> dict[str, Any]:
    """Every value that decides a run, by its dotted name; null where nothing is set."""
    kept = flatten(masked(container({key: cfg[key] for key in _KEPT})))
    found = {key.replace("._target_", ""): value for key, value in kept.items() if not key.endswith("._partial_")}
    return {key: value for key, value in found.items() if value is not None and value != {}}
