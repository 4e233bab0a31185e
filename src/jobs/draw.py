"""The pictures of a run, and the same for TensorBoard."""

import logging
from typing import TYPE_CHECKING, Any

from src import build
from src.results.folder import RunFolder
from src.results.graph import autograd_graph, write_graph
from src.training.predictor import Predictor
from src.training.tensorboard import TensorBoard
from src.values import Config, container, flatten

if TYPE_CHECKING:
    from src.data.partition import Partition
    from src.jobs.outcome import Reference

log = logging.getLogger(__name__)

_KEPT = ("optimizer", "model", "scheduler", "loss", "data", "trainer", "seed")  # what HPARAMS shows, in its order


def draw(
    cfg: Config,
    folder: RunFolder,
    predictor: Predictor,
    reference: "Reference",
    status: str,
) -> dict[str, bytes]:
    """Writes figures/ and returns the PNGs by name: curves, and, unless diverged, fit and residuals."""
    from src.results import figures

    columns, part = folder.read_metrics(), reference.part
    drawn = {}
    if columns.get("epoch"):
        drawn["curves"] = figures.curves(columns)
    if status != "diverged":
        features, target = part.thinned("train", figures.POINTS)
        table = part.table
        line, _, _ = reference.line
        drawn["fit"] = figures.fit(features, target, predictor, line, table.feature_names, table.target_name)
        drawn["residuals"] = figures.residuals(predictor(features), target, table.target_name)
    folder.figures.mkdir(parents=True, exist_ok=True)
    pictures = {name: figures.png(figure) for name, figure in drawn.items()}
    for name, picture in pictures.items():
        (folder.figures / f"{name}.png").write_bytes(picture)
    if cfg.graph:
        rows, wanted = part.sample(8)
        net = predictor.net.train()
        loss = build.construct(cfg.loss, "loss")(net(rows.to(next(net.parameters()).dtype)), wanted)
        written = write_graph(autograd_graph(loss, dict(net.named_parameters())), folder.figures / "graph")
        if written.suffix == ".dot":
            log.info("graph: Graphviz's `dot` is not installed, so %s stays text", written.name)
        net.eval()
    return pictures


def write_dashboard(
    logger: Any,
    cfg: Config,
    predictor: Predictor,
    part: "Partition",
    summary: dict[str, Any],
    pictures: dict[str, bytes],
) -> None:
    """Ends an event file: figures and model graph where they were drawn, hyperparameters with final metrics."""
    if not isinstance(logger, TensorBoard):
        if hasattr(logger, "log_hyperparams"):
            logger.log_hyperparams(flat(cfg))
        return
    for name, picture in pictures.items():
        logger.file.image(name, picture, summary["epochs"])
    if pictures:
        example, _ = part.sample(2)
        logger.file.graph(predictor.net, example.to(next(predictor.net.parameters()).dtype))
    final = summary["metrics"]
    logger.file.hparams(flat(cfg), {f"final/{name}": value for name, value in final.items()})
    logger.close()


def flat(cfg: Config) -> dict[str, Any]:
    """Every value that decides a run, by its dotted name; null where nothing is set."""
    kept = flatten(container({key: cfg[key] for key in _KEPT}))
    found = {key.replace("._target_", ""): value for key, value in kept.items() if not key.endswith("._partial_")}
    return {key: value for key, value in found.items() if value is not None and value != {}}
