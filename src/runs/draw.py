"""The pictures of a run, and the same for TensorBoard."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from src.config import build
from src.config.values import Config, container, flatten
from src.runs.folder import RunFolder
from src.runs.graph import autograd_graph, write_graph
from src.runs.status import DIVERGED
from src.secrets import masked
from src.training.predictor import Predictor
from src.training.tensorboard import TensorBoard

if TYPE_CHECKING:
    from src.data.partition import Partition
    from src.runs.outcome import Reference

log = logging.getLogger(__name__)

_KEPT = ("optimizer", "model", "scheduler", "loss", "data", "trainer", "seed")  # what HPARAMS shows, in its order


def draw(
    cfg: Config,
    folder: RunFolder,
    predictor: Predictor,
    reference: "Reference",
    status: str,
) -> dict[str, bytes]:
    """Writes figures/ and returns the PNGs by name: curves, and, unless diverged, fit and residuals.

    One that cannot be drawn is a warning: the result stands without it.
    """
    pictures: dict[str, bytes] = {}
    part = reference.part
    with optional("figures/"):
        from src.runs import figures

        folder.figures.mkdir(parents=True, exist_ok=True)
        names = part.table.feature_names
        features, target = part.thinned("train", figures.POINTS)
        run = figures.Run(
            columns=folder.read_metrics(),
            features=features,
            target=target,
            predict=predictor,
            line=lambda: reference.line[0] if len(names) == 1 else None,
            feature_names=names,
            target_name=part.table.target_name,
            fitted=status != DIVERGED,
        )
        for name, figure in figures.FIGURES.items():
            with optional(f"figures/{name}.png"):
                if drawn := figure(run):
                    pictures[name] = figures.png(drawn)
                    (folder.figures / f"{name}.png").write_bytes(pictures[name])
    if cfg.graph:
        with optional("figures/graph"):
            _draw_graph(cfg, folder, predictor, part)
    return pictures


def _draw_graph(cfg: Config, folder: RunFolder, predictor: Predictor, part: "Partition") -> None:
    rows, wanted = part.sample(8)
    net = predictor.net.train()
    loss = build.construct(cfg.loss, "loss")(net(rows.to(next(net.parameters()).dtype)), wanted)
    written = write_graph(autograd_graph(loss, dict(net.named_parameters())), folder.figures / "graph")
    if written.suffix == ".dot":
        log.info("graph: Graphviz's `dot` is not installed, so %s stays text", written.name)
    net.eval()


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
    for name, picture in pictures.items():
        with optional(f"TensorBoard's picture {name}"):
            logger.file.image(name, picture, summary["epochs"])
    if pictures:
        with optional("TensorBoard's model graph"):
            example, _ = part.sample(2)
            logger.file.graph(predictor.net, example.to(next(predictor.net.parameters()).dtype))
    final = summary["metrics"]
    with optional("TensorBoard's hyperparameters"):
        logger.file.hparams(flat(cfg), {f"final/{name}": value for name, value in final.items()})
    with optional("the end of TensorBoard's file"):
        logger.close()


def flat(cfg: Config) -> dict[str, Any]:
    """Every value that decides a run, by its dotted name; null where nothing is set."""
    kept = flatten(masked(container({key: cfg[key] for key in _KEPT})))
    found = {key.replace("._target_", ""): value for key, value in kept.items() if not key.endswith("._partial_")}
    return {key: value for key, value in found.items() if value is not None and value != {}}
