"""From a trained stack to the run folders of its members."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf

from src import build
from src.jobs.environment import environment
from src.jobs.fit import diverged
from src.jobs.ingredients import Job
from src.jobs.member_files import Checkpoints, Events
from src.jobs.stack import Trained, worst
from src.results.columns import MetricsFiles
from src.results.folder import run_command
from src.results.line import Line, least_squares
from src.results.metrics import METRICS
from src.stacking.groups import nested

if TYPE_CHECKING:
    from torch import Tensor

_CELLS = 1 << 22  # predictions held at a time, all members together


def finish(trained: Trained, files: Callable[[Job], dict[str, str]]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Writes every member's folder and yields its summary, written last.

    Args:
        files: what else belongs in a member's folder, text by path relative to it.
    """
    ledger, jobs = trained.ledger, trained.jobs
    chosen = _best(trained)
    figures = _figures(trained, chosen)
    columns = _columns(trained)
    metrics = MetricsFiles(columns, trained.parts[0].batches)
    name = build.objective(trained.cfg)
    seconds = (time.perf_counter() - trained.started) / len(jobs)
    common = _common(trained)
    checkpoints = Checkpoints(trained, chosen)
    events = Events(trained, columns, figures) if _wants_events(trained) else None
    for index, job in enumerate(jobs):
        started = time.perf_counter()
        shared = common[id(trained.parts[index])]
        summary = _summary(trained, index, chosen[index], figures[index], name, shared["reference"])
        summary["seconds"] = {"fit": trained.seconds / len(jobs)}
        summary |= {name: shared[name] for name in ("data", "environment")}
        folder = job.folder
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        folder.config.parent.mkdir(exist_ok=True)
        for path, text in files(job).items():
            (folder.path / path).write_text(text, encoding="utf-8")
        folder.metrics.write_bytes(metrics.file(index, int(ledger.epochs[index])))
        checkpoints.write(index)
        if events is not None:
            events.write(index)
        summary["seconds"]["total"] = seconds + time.perf_counter() - started
        folder.write_summary(summary)
        yield job, summary


def _wants_events(trained: Trained) -> bool:
    return any(node.get("_target_", "").endswith(".TensorBoard") for node in (trained.cfg.logger or {}).values())


def _best(trained: Trained) -> "Tensor":
    """The weights (members, parameters) that a prediction uses: the best epoch's where there is one, else the last."""
    ledger = trained.ledger
    assert ledger.last is not None
    chosen = ledger.last.clone()
    if ledger.best is not None:
        found = ledger.best_epoch > 0
        chosen[found] = ledger.best.cpu()[found]
    return chosen


def _figures(trained: Trained, chosen: "Tensor") -> list[dict[str, float]]:
    """Per member the metrics of every part of its rows; {} for one that diverged."""
    import torch

    net = trained.module.net
    found: list[dict[str, float]] = [{} for _ in trained.jobs]
    by_part: dict[int, list[int]] = {}
    for index, part in enumerate(trained.parts):
        if trained.ledger.stopped[index] != "diverged":
            by_part.setdefault(id(part), []).append(index)
    for members in by_part.values():
        part = trained.parts[members[0]]
        for name in part.splits():
            features, _ = part.encoded(name)
            target = part.raw(name)[1].astype(np.float64)
            variance = float(target.var())
            step = max(1, _CELLS // (len(target) * (1 + sum(net.sizes))))
            for start in range(0, len(members), step):
                who = members[start : start + step]
                with torch.inference_mode():
                    output = net.forward(chosen[who], features).to(torch.float64).numpy()
                error = output * part.encoder.target_scale + part.encoder.target_shift - target
                mse, mae = (error * error).mean(1), np.abs(error).mean(1)
                r2 = 1 - mse / variance if variance else np.full(len(who), np.nan)
                for values, index in zip(np.stack([mse, np.sqrt(mse), mae, r2], 1).tolist(), who, strict=True):
                    found[index].update({f"{name}/{m}": v for m, v in zip(METRICS, values, strict=True)})
    return found


def _summary(
    trained: Trained, index: int, row: "Tensor", metrics: dict[str, float], name: str, reference: dict[str, float]
) -> dict[str, Any]:
    """What src.jobs.fit writes for a lone run, seconds and what all members share left out."""
    job, ledger, part = trained.jobs[index], trained.ledger, trained.parts[index]
    status = ledger.stopped[index] or "completed"
    summary: dict[str, Any] = {
        "status": status,
        "command": run_command(job.overrides, swept=True),
        "overrides": list(job.overrides),
        "seed": job.flat["seed"],
        # The epoch in which a run diverges counts, whole or not.
        "epochs": int(ledger.epochs[index]) + (status == "diverged"),
        "steps": int(ledger.steps[index]),
    }
    if ledger.best_epoch[index]:
        summary["best_epoch"] = int(ledger.best_epoch[index])
    summary["metrics"] = metrics
    summary["objective"] = {"name": name, "value": metrics.get(name, worst(name))}
    summary["parameters"] = {}
    if metrics and not trained.module.net.sizes and "weight" in trained.shapes:
        numbers = row.double().numpy()
        line = Line(*part.encoder.decode_line(numbers[:-1], float(numbers[-1])))
        summary["parameters"] = line.parameters(part.table.feature_names)
    summary["reference"] = reference
    if status == "diverged":
        cfg = OmegaConf.create({group: nested(job.flat, group) for group in ("model", "loss", "optimizer")})
        summary["message"] = diverged(cfg, part, int(ledger.diverged_at[index]))
    return summary


def _common(trained: Trained) -> dict[int, dict[str, Any]]:
    """What members that learn the same rows have in common."""
    rows = trained.rows
    found = {}
    surroundings = environment(str(trained.trainer.strategy.root_device), trained.threads)
    for part in {id(part): part for part in trained.parts}.values():
        line, mse, r2 = least_squares(partial(part.chunks, "train"))
        found[id(part)] = {
            "reference": line.parameters(part.table.feature_names) | {"mse": mse, "r2": r2},
            "data": {
                "source": rows.source,
                "rows": len(rows),
                "splits": {name: len(numbers) for name, numbers in part.rows.items() if len(numbers)},
                "features": rows.feature_names,
                "target": rows.target_name,
                "sha256": rows.sha256,
            },
            "environment": surroundings,
        }
    return found


def _columns(trained: Trained) -> dict[str, np.ndarray]:
    """metrics.csv's columns (members, epochs) but for epoch and step."""
    columns = {name: np.ascontiguousarray(np.moveaxis(c, 0, 1)) for name, c in trained.ledger.columns().items()}
    found: dict[str, np.ndarray] = {name: columns[name] for name in ("train/loss", "lr") if name in columns}
    if "weight" in columns:
        weight, bias = np.moveaxis(columns["weight"], 2, 0)
        encoders = [part.encoder for part in trained.parts]
        if not all(encoder.is_identity for encoder in encoders):
            ratio = np.array([[e.target_scale / float(e.feature_scale[0])] for e in encoders])
            weight = weight.astype(np.float64) * ratio
            x0 = np.array([[float(e.feature_shift[0])] for e in encoders])
            scale, y0 = (np.array([[getattr(e, f"target_{n}")] for e in encoders]) for n in ("scale", "shift"))
            bias = bias.astype(np.float64) * scale + y0 - weight * x0
        found |= {"slope": weight, "intercept": bias}
    return found | {name: values for name, values in columns.items() if name.startswith("val/")}
