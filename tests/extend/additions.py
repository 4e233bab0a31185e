"""One addition for each row of CONTRIBUTING.md's table: which files it touches, and what it puts there."""

from dataclasses import dataclass
from pathlib import Path

PACKAGE = {
    "mine.py": '''"""A package of the user's own, outside of the repository."""

import torch
from lightning.pytorch import Callback
from torch import nn


class Lion(torch.optim.Optimizer):
    """Chen et al., 2023: the sign of an average of gradients."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for part in group["params"]:
                if part.grad is None:
                    continue
                self.update(part, group)

    def update(self, part, group):
        average = self.state[part].setdefault("average", torch.zeros_like(part))
        one, other = group["betas"]
        update = average.lerp(part.grad, 1 - one).sign_()
        part.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])
        average.lerp_(part.grad, 1 - other)


class Normed(Lion):
    """By the norm of each tensor: no number is updated by itself."""

    def update(self, part, group):
        part.add_(part.grad / (part.grad.norm() + 1e-8), alpha=-group["lr"])


class LogCosh(nn.Module):
    """Squared near zero, absolute far from it; it knows no reduction."""

    def forward(self, prediction, target):
        error = prediction - target
        return (error + nn.functional.softplus(-2 * error)).mean() - 0.6931471805599453


class Seen(Callback):
    """Says that a training is over."""

    def on_train_end(self, trainer, pl_module):
        print("seen by a callback of one's own")
''',
}


@dataclass(frozen=True)
class Edit:
    """What goes into a file: a new one, or text behind an anchor in one that is there."""

    text: str
    behind: str | None = None

    def apply(self, path: Path) -> None:
        """Makes the change."""
        if self.behind is None:
            assert not path.exists(), f"{path} is there already"
            path.write_text(self.text)
            return
        before = path.read_text()
        assert before.count(self.behind) == 1, f"{path}: {self.behind!r} is there {before.count(self.behind)} times"
        path.write_text(before.replace(self.behind, self.behind + self.text))


ADDITIONS: dict[str, dict[str, Edit]] = {
    "an activation": {
        "src/models/mlp.py": Edit('    "softplus": nn.Softplus,\n', behind='    "elu": nn.ELU,\n'),
    },
    "an optimizer, of torch or of any package": {
        "conf/optimizer/lion.yaml": Edit("_target_: mine.Lion\n_partial_: true\nlr: 0.01\nweight_decay: 0.1\n"),
    },
    "a scheduler of torch": {
        "conf/scheduler/exponential.yaml": Edit(
            "_target_: torch.optim.lr_scheduler.ExponentialLR\n_partial_: true\ngamma: 0.9\n"
            "interval: epoch\nmonitor: null\n"
        ),
    },
    "a net": {
        "src/models/gated.py": Edit('''"""A line times a gate."""

from torch import Tensor, nn


class Gated(nn.Module):
    """(rows, features) to (rows, 1)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.line, self.gate, self.out = nn.Linear(features, width), nn.Linear(features, width), nn.Linear(width, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Predictions."""
        return self.out(self.line(values) * self.gate(values).sigmoid())
'''),
        "conf/model/gated.yaml": Edit("_target_: src.models.gated.Gated\nstandardize: true\nwidth: 4\n"),
    },
    "a loss, of torch or of any package": {"conf/loss/logcosh.yaml": Edit("_target_: mine.LogCosh\n")},
    "a metric": {
        "src/training/task.py": Edit(
            """
    "max_error": Metric(
        part=lambda error, weight: error.abs().amax(-1),
        join=lambda one, other: one.maximum(other),
        value=lambda largest, rows, variance: largest,
    ),""",
            behind='    "mae": Metric(_absolute, _sum, lambda total, rows, variance: total / rows),',
        ),
    },
    "a data source": {
        "src/data/sources.py": Edit(
            '''

def parabola(rows: int, dtype: DTypeLike) -> Table:
    """y = x² on a grid."""
    features = np.linspace(-2, 2, rows)[:, None]
    target = features[:, 0] ** 2
    return Table(features.astype(dtype), target, ["x"], "y", "parabola", lambda: "0", dtype)
''',
            behind='"y", f"synthetic {kind}", digest, dtype)\n',
        ),
        "conf/data/parabola.yaml": Edit(
            "defaults:\n  - base\n  - _self_\n\n_target_: src.data.sources.parabola\nrows: 40\n"
        ),
    },
    "a figure": {
        "src/runs/figures.py": Edit(
            '    "losses": lambda run: curves(run.course) if run.course else None,\n',
            behind="FIGURES: dict[str, Callable[[Run], Figure | None]] = {\n",
        ),
    },
    "a callback, of Lightning or of any package": {
        "conf/callbacks/seen.yaml": Edit("defaults:\n  - default\n  - _self_\n\nseen:\n  _target_: mine.Seen\n"),
    },
    "a reason to stop": {
        "src/training/early_stopping.py": Edit(
            '''class TargetReached(Stopping):
    """Stops a run that is good enough.

    Args:
        monitor: the figure.
        target: what it has to come below.
    """

    reason = "target reached"

    def __init__(self, monitor: str, target: float) -> None:
        self.monitor, self.target = monitor, target

    def stops(self, value: float) -> bool:
        """See ``Stopping``."""
        return value < self.target


''',
            behind='asked about."""\n\n\n',
        ),
        "conf/callbacks/target.yaml": Edit(
            "defaults:\n  - default\n  - _self_\n\ntarget:\n"
            "  _target_: src.training.early_stopping.TargetReached\n  monitor: val/max_error\n  target: 1.0\n"
        ),
    },
    "a lesson or a pinned result": {
        "conf/experiment/parabolas.yaml": Edit(
            "# @package _global_\ndefaults:\n  - override /data: parabola\n  - override /model: gated\n"
            "  - override /optimizer: lion\n  - override /loss: logcosh\n  - override /scheduler: exponential\n"
            "  - override /callbacks: target\n  - override /logger: none\n\n"
            "data:\n  val_fraction: 0.25\n  batch_size: 8\nscheduler:\n  gamma: 0.999\ntrainer:\n  max_epochs: 40\n"
        ),
    },
    "a sweep": {
        "conf/sweep/worst.yaml": Edit(
            "# @package _global_\ndefaults:\n  - override /hydra/sweeper: durable\n"
            "  - override /hydra/sweeper/sampler: random\n\nobjective: val/max_error\n\nhydra:\n  sweeper:\n"
            "    study_name: worst\n    n_trials: 4\n    n_jobs: 4\n    sampler:\n      seed: 0\n    params:\n"
            "      seed: range(0,100)\n"
        ),
    },
    "a column of the leaderboard": {
        "src/reports/leaderboard.py": Edit(
            '    "command": lambda row: row.command,\n', behind="COLUMNS: dict[str, Callable[[Row], Any]] = {\n"
        ),
    },
    "a bound on a value": {
        "src/config/rules.py": Edit('        "width": _count,\n', behind='    "model": {\n'),
    },
    "a name that a run folder's configuration may construct": {
        "src/config/kinds.py": Edit(
            '            r"mine\\.Seen",\n', behind='        "lightning.pytorch:Callback",\n        (\n'
        ),
    },
}
