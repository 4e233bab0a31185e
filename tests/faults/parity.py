"""Trains random configurations alone and as a stack, and says where a member's run is not the lone one.

python -m tests.faults.parity                                  seventy of them
python -m tests.faults.parity --configurations 10 --seed 3
python -m tests.faults.parity --only 17                        one again, with all that differs
"""

import argparse
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from src.runs.folder import RunFolder
from src.training.stack import Alone
from tests.stacking.pairs import alone, config, together, variants

LIBRARY = Path(__file__).parents[1] / "stacking" / "library"
STEPS = 50
WEIGHTS = {"64-true": 1e-12, "32-true": 1e-5}  # relative to the largest of a tensor
# What an optimizer keeps is made of gradients, whose terms cancel; figures are made of errors.
REST = {"64-true": 1e-9, "32-true": 2e-3}

RULES = ("sgd", "adam", "adamw", "rmsprop")
OTHERS = ("Adagrad", "NAdam", "Adadelta", "Adamax", "RAdam", "Rprop")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "leaky_relu", "silu", "elu", "none")
# Lightning counts executions, which are longer or shorter in a stack.
EXECUTIONS = (".loops.fit_loop.epoch_loop.batch_progress", ".loops.fit_loop.epoch_loop.state_dict")


@dataclass(frozen=True)
class Drawn:
    """A random configuration and what its members change."""

    number: int
    overrides: list[str]
    changes: list[dict[str, Any]]

    @property
    def said(self) -> str:
        """In a line."""
        varied = sorted({name for change in self.changes for name in change if name != "seed"})
        return f"{' '.join(self.overrides)} | {len(self.changes)} differ in {', '.join(varied) or 'seed'}"

    def configs(self) -> list[DictConfig]:
        """Of the members."""
        found = variants(config(*self.overrides), *self.changes)
        for cfg in found:
            with open_dict(cfg):
                if not str(cfg.loss._target_).endswith("HuberLoss"):
                    cfg.loss.pop("delta", None)
        return found


def draw(number: int, seed: int) -> Drawn:
    """Configuration ``number`` of those that a seed stands for."""
    chance = random.Random(f"{seed} {number}")
    rows, pick = chance.choice([24, 40, 57]), chance.choice
    features, validated = pick([1, 3]), chance.random() < 0.6
    share = pick([0.2, 0.3]) if validated else 0.0
    batch = pick([None, 8, 10, 12])
    while any((rows - round(rows * share)) % size == 1 for size in (8, 10, 12, 15)):
        rows += 1  # BatchNorm takes no batch of a single row
    trained = rows - round(rows * share)
    options = ["data=synthetic", f"data.n_samples={rows}", f"data.n_features={features}", "data.n_informative=3"]
    options += [f"trainer.precision={pick(['32-true', '64-true'])}", "data.standardize=auto"]
    epochs = max(2, STEPS // (1 if batch is None else -(-trained // batch)))
    options += [f"data.val_fraction={share}", f"data.batch_size={'null' if batch is None else batch}"]
    options += [f"trainer.max_epochs={epochs}", f"data.shuffle={pick(['true', 'true', 'false'])}"]
    options += [f"trainer.steps_per_execution={pick(['auto', 'auto', 'auto', 7])}"]
    changes: list[dict[str, Any]] = [{"seed": chance.randrange(1000)} for _ in range(chance.randint(2, 4))]

    def differ(key: str, *values: Any, often: float = 0.4) -> None:
        if chance.random() < often:
            for change in changes:
                change[key] = pick(values)

    rules = chance.random() < 0.75  # whether members may differ in what an optimizer is told
    limited = chance.random() < 0.2
    options += list(_model(chance, differ, features))
    options += list(_optimizer(chance, differ, rules))
    _loss(chance, options, changes)
    options += list(_schedule(chance, differ, rules, any(n in str(options) for n in ("Adagrad", "Adadelta", "Rprop"))))
    if chance.random() < 0.3:
        algorithm = pick(["norm", "value"])
        options += [f"trainer.gradient_clip_val={pick([0.01, 0.5])}", f"trainer.gradient_clip_algorithm={algorithm}"]
    if validated:
        options.append(f"trainer.check_val_every_n_epoch={pick([1, 1, 2, 3])}")
        if chance.random() < 0.4:
            options += ["callbacks=early_stopping", f"callbacks.early_stopping.monitor=val/{pick(['mse', 'mae'])}"]
            options += [f"callbacks.early_stopping.patience={pick([1, 3, 9])}"]
            differ("callbacks.early_stopping.patience", 1, 2, 5, often=0.5)
            differ("callbacks.early_stopping.min_delta", 0.0, 10.0)
    if limited:
        options.append(f"trainer.max_steps={chance.randint(5, 45)}")
    if rules:
        differ("trainer.max_epochs", epochs, max(1, epochs // 2), max(1, epochs - 3), often=0.3)
        if batch is not None and not limited and ("model=linear" in options or "model.hidden=" in str(options)):
            differ("data.batch_size", *((8, 10, 15) if batch >= 8 else (batch,)), often=0.3)
    return Drawn(number, options, changes)


def _model(chance: random.Random, differ: Any, features: int) -> Iterator[str]:
    kinds = ["linear", "mlp", "mlp", "mlp", "Residual", "Residual", "Normed", "Squares", "Bins", "Scaled", "Counting"]
    if features == 1:
        kinds.remove("Normed")  # takes out the size of a single weight, whose gradient is then rounding
    kind = chance.choice(kinds)
    if kind == "linear":
        yield "model=linear"
        differ("model.init.weight", -1.0, 0.5, 2.0)
        differ("model.init.bias", 0.0, 3.0)
    elif kind == "mlp":
        hidden = [chance.randint(2, 9) for _ in range(chance.randint(1, 3))]
        yield from ("model=mlp", f"model.hidden={hidden}".replace(" ", ""))
        yield f"model.activation={chance.choice(ACTIVATIONS)}"
        differ("model.activation", *ACTIVATIONS)
        differ("model.hidden", [4], [8, 3], [5, 5, 5], [7], often=0.3)
        if chance.random() < 0.4:
            yield "model.dropout=0.2"
            differ("model.dropout", 0.1, 0.3, 0.5)
    else:
        # A node without what its own class does not take.
        yield from ("model=mlp", f"model._target_=mynets.{kind}", *(f"~model.{n}" for n in ("hidden", "activation")))
        if kind != "Residual":
            yield "~model.dropout"
        elif chance.random() < 0.5:
            yield "model.dropout=0.2"
            differ("model.dropout", 0.1, 0.4)


def _optimizer(chance: random.Random, differ: Any, rules: bool) -> Iterator[str]:
    if not rules:
        name = chance.choice(OTHERS)
        yield from ("optimizer=sgd", f"optimizer._target_=torch.optim.{name}", "~optimizer.momentum")
        yield from ("~optimizer.nesterov", f"optimizer.lr={chance.choice([0.003, 0.02])}")
        if name == "Rprop":
            yield "~optimizer.weight_decay"
        return
    name = chance.choice(RULES)
    large = 0.005 if name == "rmsprop" else 0.03
    yield from (f"optimizer={name}", f"optimizer.lr={chance.choice([0.001, 0.005, large])}")
    differ("optimizer.lr", 0.002, 0.004, large)
    yield f"optimizer.weight_decay={chance.choice([0.0, 0.0, 0.1])}"
    differ("optimizer.weight_decay", 0.0, 0.01, 0.2)
    if name in ("sgd", "rmsprop"):
        momentum = chance.choice([0.0, 0.9])
        yield f"optimizer.momentum={momentum}"
        if momentum and name == "sgd":
            yield f"optimizer.nesterov={chance.choice(['true', 'false'])}"
        differ("optimizer.momentum", *([0.5, 0.9] if name == "sgd" and momentum else [0.0, 0.5]))
    else:
        yield f"optimizer.amsgrad={chance.choice(['true', 'false', 'false'])}"
        differ("optimizer.betas", [0.8, 0.99], [0.9, 0.999])
    if name == "rmsprop":
        differ("optimizer.alpha", 0.9, 0.99)
        centered = chance.choice(["true", "false", "false"])
        yield f"optimizer.centered={centered}"
        if centered == "true":  # the difference of two averages, which cancel in the first steps
            yield "optimizer.eps=1e-3"
            return
    if name != "sgd":
        # Adam's own 1e-8 makes a whole step of a gradient that is zero but for rounding.
        yield "optimizer.eps=1e-4"
        differ("optimizer.eps", 1e-4, 1e-3, often=0.2)


def _loss(chance: random.Random, options: list[str], changes: list[dict[str, Any]]) -> None:
    options.append(f"loss={chance.choice(['mse', 'mse', 'mae', 'huber'])}")
    if chance.random() < 0.2:
        for change in changes:
            change["loss._target_"] = chance.choice(["torch.nn.MSELoss", "torch.nn.L1Loss"])


def _schedule(chance: random.Random, differ: Any, rules: bool, calm: bool) -> Iterator[str]:
    kinds = ["none", "none", "step", "cosine"] + ["onecycle"] * (not calm) + ["plateau", "plateau"] * rules
    kind = chance.choice(kinds)
    yield f"scheduler={kind}"
    interval = chance.choice(["epoch", "step"])
    if kind in ("step", "cosine", "onecycle"):
        yield f"scheduler.interval={interval}"
    if kind == "step":  # not so often that nothing is learned any more, and rounding decides which epoch is best
        yield f"scheduler.step_size={chance.randint(*((3, 9) if interval == 'epoch' else (15, 30)))}"
        if rules:
            differ("scheduler.gamma", 0.3, 0.9)
    if kind == "plateau":
        yield from (f"scheduler.patience={chance.randint(0, 3)}", f"scheduler.threshold={chance.choice([1e-3, 0.3])}")
        if rules:
            differ("scheduler.factor", 0.2, 0.7)
            differ("scheduler.cooldown", 0, 2)


def compared(drawn: Drawn, root: Path) -> list[str]:
    """What differs between the members of a configuration and lone runs; one line saying why where none are stacked."""
    configs = drawn.configs()
    try:
        stacked = together(configs, root)
    except Alone as reason:
        return [f"alone: {reason}"]
    found = []
    for place, (one, other) in enumerate(zip(alone(configs, root), stacked, strict=True)):
        precision = str(configs[place].trainer.precision)
        found += [f"member {place}: {said}" for said in run_differences(one, other, precision)]
    return found


def run_differences(one: RunFolder, other: RunFolder, precision: str) -> list[str]:
    """What differs between two run folders, in words."""
    first, second = one.read_summary(), other.read_summary()
    found = [
        f"{key} {first.get(key)} alone, {second.get(key)} stacked"
        for key in ("status", "epochs", "steps", "best_epoch", "seed")
        if first.get(key) != second.get(key)
    ]
    names = [sorted(p.relative_to(f.path).as_posix() for p in f.path.rglob("*") if p.is_file()) for f in (one, other)]
    if names[0] != names[1]:
        found.append(f"files {sorted(set(names[0]) ^ set(names[1]))}")
    if found or first["status"] == "diverged":  # among overflowing numbers the order of additions decides
        return found
    rows = [folder.read_metrics() for folder in (one, other)]
    found += [f"metrics.csv {said}" for said in differences(*rows, REST[precision])]
    for name in ("last", "best"):
        whole = [torch.load(folder.checkpoint(name), weights_only=True) for folder in (one, other)]
        weights = [each.pop("state_dict") for each in whole]
        least = 1e-4 * max(float(part.abs().max()) for part in weights[0].values())
        found += [f"{name}.ckpt state_dict{said}" for said in differences(*weights, WEIGHTS[precision], least=least)]
        found += [f"{name}.ckpt {said}" for said in differences(*whole, REST[precision], least=least)]
    return found


def differences(one: Any, other: Any, bound: float, name: str = "", least: float = 1e-30) -> list[str]:
    """The names under which two checkpoints differ by more than a bound, and by how much.

    Args:
        bound: relative to the largest number of each tensor.
        least: a tensor whose numbers are all smaller is zero but for rounding, and has no scale of its own.
    """
    if name.startswith(EXECUTIONS) or name.endswith(EXECUTIONS):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return [f"{name}: names {list(one)} alone, {list(other)} stacked"]
        return [said for key in one for said in differences(one[key], other[key], bound, f"{name}.{key}", least)]
    if isinstance(one, list | tuple) and type(one) is type(other):
        if len(one) != len(other):
            return [f"{name}: {len(one)} alone, {len(other)} stacked"]
        if all(isinstance(value, float) for value in [*one, *other]):
            return differences(torch.tensor(one).double(), torch.tensor(other).double(), bound, name)
        pairs = enumerate(zip(one, other, strict=True))
        return [said for i, pair in pairs for said in differences(*pair, bound, f"{name}[{i}]")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return [f"{name}: {tuple(one.shape)} {one.dtype} alone, {tuple(other.shape)} {other.dtype} stacked"]
        if not torch.equal(one.isnan(), other.isnan()):
            return [f"{name}: {one} alone, {other} stacked"]
        if not one.numel():
            return []
        gap = (one - other).abs().nan_to_num(0.0).max() / one.abs().nan_to_num(0.0).max().clamp(min=least)
        return [f"{name}: {float(gap):.1e}"] if float(gap) > bound else []
    if isinstance(one, float) and isinstance(other, float):
        same = one == other or abs(one - other) <= bound * abs(one) or (one != one and other != other)
        return [] if same else [f"{name}: {one} alone, {other} stacked"]
    return [] if type(one) is type(other) and one == other else [f"{name}: {one!r} alone, {other!r} stacked"]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", type=int, default=70)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    sys.path.insert(0, str(LIBRARY))
    numbers = range(options.configurations) if options.only is None else [options.only]
    wrong, lone = 0, 0
    for number in numbers:
        drawn = draw(number, options.seed)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = compared(drawn, Path(folder))
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
                if options.only is not None:
                    traceback.print_exc()
        if found and found[0].startswith("alone: "):
            lone += 1
            print(f"{number:3d}  {found[0]}  {drawn.said}")
        elif found:
            wrong += 1
            shown = found if options.only is not None else found[:3]
            print(f"{number:3d}  {drawn.said}", *(f"       {said}" for said in shown), sep="\n")
        if options.only is not None:
            print(drawn.said, drawn.changes, OmegaConf.to_yaml(drawn.configs()[0].model), sep="\n")
    total = len(numbers)
    print(f"{total} configurations: {total - wrong - lone} equal, {lone} alone with a reason, {wrong} differ")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
