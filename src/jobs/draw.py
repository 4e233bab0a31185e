"""The pictures of a run, and the same for TensorBoard."""

import logging
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from src import build
from src.results.folder import RunFolder
from src.results.graph import autograd_graph, write_graph
from src.results.line import least_squares
from src.training.predictor import Predictor
from src.training.tensorboard import TensorBoard

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from src.data.module import DataModule

log = logging.getLogger(__name__)

_KEPT = ("optimizer", "model", "scheduler", "loss", "data", "trainer", "seed")  # what HPARAMS shows, in its order


def draw(
    cfg: DictConfig,
    folder: RunFolder,
    predictor: Predictor,
    data: "DataModule",
    module: "pl.LightningModule",
    status: str,
) -> dict[str, bytes]:
    """Writes figures/ and returns the PNGs by name: curves, and, unless diverged, fit and residuals."""
    from src.results import figures

    columns = folder.read_metrics()
    drawn = {}
    if columns:
        drawn["curves"] = figures.curves(columns)
    if status != "diverged":
        features, target = data.thinned("train", figures.POINTS)
        table = data.table
        line, _, _ = least_squares(lambda: data.chunks("train"))
        drawn["fit"] = figures.fit(features, target, predictor, line, table.feature_names, table.target_name)
        drawn["residuals"] = figures.residuals(predictor(features), target, table.target_name)
    folder.figures.mkdir(parents=True, exist_ok=True)
    pictures = {name: figures.png(figure) for name, figure in drawn.items()}
    for name, picture in pictures.items():
        (folder.figures / f"{name}.png").write_bytes(picture)
    if cfg.graph:
        rows, wanted = data.sample(8)
        net = predictor.net.train()
        loss = build.construct(cfg.loss, "loss")(net(rows.to(next(net.parameters()).dtype)), wanted)
        written = write_graph(autograd_graph(loss, dict(net.named_parameters())), folder.figures / "graph")
        if written.suffix == ".dot":
            log.info("graph: Graphviz's `dot` is not installed, so %s stays text", written.name)
        net.eval()
    return pictures


def write_dashboard(
    logger: Any,
    cfg: DictConfig,
    predictor: Predictor,
    data: "DataModule",
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
        example, _ = data.sample(2)
        logger.file.graph(predictor.net, example.to(next(predictor.net.parameters()).dtype))
    final = summary["metrics"]
    logger.file.hparams(flat(cfg), {f"final/{name}": value for name, value in final.items()})
    logger.close()


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Every value that decides a run, by its dotted name; null where nothing is set."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif value is not None and not prefix.endswith("._partial_"):
            found[prefix.replace("._target_", "")] = value

    for key in _KEPT:
        value = cfg[key]
        walk(key, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)
    return found
