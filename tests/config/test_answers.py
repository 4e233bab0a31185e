"""Whatever is written on the command line is answered: by a run, or in a line or two and exit code 2."""

import copy
import json
import os
import random
import sys
import tomllib
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from omegaconf import OmegaConf

from src.config.answers import no_option, told
from src.config.rules import RULES
from src.errors import UserError
from src.runs.folder import RunFolder
from tests.commands import Call, everything_under
from tests.compose import CONF

LONG = "n" * 300
BIG = "18446744073709551616"
# Overrides, and words of the answer.
ANSWERS: dict[str, tuple[str, ...]] = {
    "model=mpl": ("model=mpl", "did you mean 'mlp'?", "linear, mlp, realmlp, resnet, scratch"),
    "model=MLP": ("model=MLP", "did you mean 'mlp'?"),
    "loss=msee": ("loss=msee", "did you mean 'mse'?", "huber, mae, mse"),
    "model=null": ("model=null", "linear, mlp, realmlp, resnet, scratch"),
    "optimizer=null": ("optimizer=null", "adam, adamw, rmsprop, sgd"),
    "logger=null": ("logger=null", "none, tensorboard"),
    "~model": ("model=null", "linear, mlp, realmlp, resnet, scratch"),
    "experiment=lr": ("experiment=lr", "did you mean sweep=lr?"),
    "optimizer=cosine": ("did you mean scheduler=cosine?",),
    "lr=0.1": ("lr: there is no such key; did you mean optimizer.lr?",),
    "epochs=10": ("did you mean trainer.max_epochs?",),
    "batch_size=8": ("did you mean data.batch_size?",),
    "dropout=0.1": ("did you mean model.dropout?",),
    "model.dropout=0.1": ("it goes with model=mlp",),
    "optimizer.learning_rate=0.1": ("did you mean optimizer.lr?", "optimizer has: lr, momentum"),
    "hydra.sweeper.n_trials=3": ("it goes with", "hydra/sweeper=durable"),
    "+lr=0.5": ("lr: nobody reads it; did you mean optimizer.lr?",),
    "++lr=0.5": ("lr: nobody reads it; did you mean optimizer.lr?",),
    "+a={b:1,c:2}": ("a.b: nobody reads it",),
    "+a={b:1,c:2} seed=${a.b}": ("a.c: nobody reads it",),
    "+study.old=true": ("study.old: nobody reads it", "study has: new"),
    "+optimizer.learning_rate=1": ("optimizer.learning_rate: torch.optim.SGD takes no 'learning_rate'",),
    "+optimizer={momentun:1}": ("takes no 'momentun'", "did you mean 'momentum'?"),
    "+model.hiden=[3]": ("model.hiden: src.models.linear.linear takes no 'hiden'",),
    "+model.features=3": ("model.features: the run sets it itself",),
    "+loss.delta=1": ("loss.delta: torch.nn.MSELoss takes no 'delta'",),
    "+data.header=1": ("data.header: src.data.sources.cars takes no 'header'",),
    "scheduler=step +scheduler.patience=3": ("scheduler.patience: torch.optim.lr_scheduler.StepLR takes no",),
    "++trainer.epochs=3": ("trainer.epochs: Lightning's Trainer takes no 'epochs'", "did you mean 'max_epochs'?"),
    "+trainer.callbacks=[]": ("trainer.callbacks: the run sets it itself",),
    "optimizer.lr=${nope}": ("optimizer.lr: ${nope}", "no such key"),
    "optimizer.lr=${optimizer.momentun}": ("did you mean optimizer.momentum?",),
    "optimizer.lr=${optimizer.lr}": ("optimizer.lr: Recursive interpolation",),
    "seed=${data.batch_size} data.batch_size=${seed}": ("Recursive interpolation",),
    "optimizer.lr=${oc.env:NO_SUCH_VARIABLE}": ("optimizer.lr", "'NO_SUCH_VARIABLE' not found"),
    "optimizer.lr=${no_such:1}": ("optimizer.lr", "no_such"),
    "name=${nope}": ("nope",),
    "hydra.run.dir=${nope}": ("hydra.run.dir", "nope"),
    "optimizer.lr=???": ("optimizer.lr has to be given",),
    "name=???": ("name has to be given",),
    "model=???": ("model",),
    "hydra.job.chdir=true": ("hydra.job.chdir=true", "expected false"),
    "hydra.run.dir=''": ("hydra.run.dir must be a folder, found ''",),
    "hydra.run.dir=???": ("hydra.run.dir",),
    "hydra.output_subdir=null": ("hydra.output_subdir=None", "expected .hydra"),
    "hydra/job_logging=disabled": ("hydra.job_logging", "hydra/job_logging=default"),
    "objective=[[1],[2]]": ("objective must be train, val or test with", "found [1]"),
    "hydra.verbose=0.5": ("hydra.verbose must be true, false",),
    "hydra.job_logging.root.level=LOUD": ("hydra.job_logging",),
    f"name={LONG}": ("File name too long",),
    f"hydra.run.dir={LONG}": ("File name too long",),
    "resume=''": ("resume must be a run folder, found ''",),
    "resume=[]": ("resume must be a run folder, found []",),
    "resume=0": ("resume=0: no such folder",),
    "resume=false": ("resume must be a run folder, found False",),
    "study.new=maybe": ("study.new must be one of true, false, found 'maybe'",),
    f"optimizer.lr=1{400 * '0'}": ("optimizer.lr must be a number above 0, below 2⁶³",),
    f"seed={BIG}": ("seed must be a whole number from 0 on, below 2⁶³",),
    f"data.batch_size={BIG}": ("data.batch_size must be", "below 2⁶³"),
    "trainer.threads=2147483648": ("trainer.threads must be auto or a whole number from 1 to 1024",),
    "trainer.threads=many": ("trainer.threads must be auto or a whole number", "found 'many'"),
    "+callbacks.x=1": ("callbacks.x: expected a _target_", "found 1"),
    "+callbacks.x=null": ("callbacks.x: expected a _target_", "found None"),
    "+callbacks.x={}": ("callbacks.x: expected a _target_", "found {}"),
    "callbacks.progress=1": ("callbacks.progress: expected a _target_",),
    "callbacks.x=1": ("callbacks.x: there is no such key", "callbacks has: checkpoints, progress"),
    "~seed": ("seed is missing, and is needed",),
    "~optimizer.lrr": ("optimizer.lrr: there is no such key; did you mean optimizer.lr?",),
    "~data.batch_size": ("data.batch_size is missing, and is needed",),
    "~trainer.max_epochs": ("trainer.max_epochs is missing, and is needed",),
    "data.target=2020": ("data.target must be the name of one column, which quotes make of it ('\"2020\"'), found",),
    "seed=1,2": ("seed=1,2: several values are a sweep, which -m asks for",),
    "optimizer.lr=interval(0,1)": ("several values are a sweep, which -m asks for",),
    "foo": ("foo: expected KEY=VALUE",),
    "=3": ("expected KEY=VALUE",),
    "a=[1,": ("a=[1,: cannot be read as KEY=VALUE",),
    "a='b": ("a='b: cannot be read as KEY=VALUE",),
    "a=b=c": ("a=b=c: cannot be read as KEY=VALUE",),
    "--foo": ("unrecognized arguments: --foo",),
    "--cfg job --run": ("Only one of",),
    "hydra.mode=SOMETIMES": ("SOMETIMES",),
    "hydra/launcher=stakced": ("hydra/launcher=stakced", "did you mean 'stacked'?"),
    "-m +lr=0.1,0.2": ("lr: nobody reads it; did you mean optimizer.lr?",),
    "-m lr=0.1,0.2": ("lr: there is no such key; did you mean optimizer.lr?",),
    "-m optimizer.lr=interval(0.001,0.1)": ("-m hydra/sweeper=durable hydra.sweeper.n_trials=20 'optimizer.lr=int",),
    "-m hydra/sweeper=durable +lr=interval(0.1,0.2)": ("lr",),
    "-m hydra/sweeper=durable optimizer.lr=interval(0,1) hydra.sweeper.n_trials=x": ("hydra.sweeper.n_trials",),
    "-m seed=1,2 hydra.sweep.dir=''": ("hydra.sweep.dir must be a folder",),
    "-m seed=1,2 study.new=maybe": ("study.new must be one of true, false",),
}


def test_a_recursion_of_ones_own_is_no_interpolation() -> None:
    """An error in training must not be blamed on the command line."""

    def down(depth: int) -> int:
        return down(depth + 1)

    with pytest.raises(RecursionError) as error:
        down(0)
    assert told(error.value) is None


@pytest.mark.parametrize("overrides", ANSWERS)
def test_a_mistake_is_answered(overrides: str, call: Call, tmp_path: Path) -> None:
    answer = call("train", "trainer.accelerator=cpu", *overrides.split())
    assert (answer.code, len(answer.lines)) == (2, 1), answer
    for words in ANSWERS[overrides]:
        assert words in answer.err
    assert not any(words in answer.err for words in ("Error executing", "Traceback", "hydra.cc"))
    assert everything_under(tmp_path) == set()


NETS = """
import torch


class Net(torch.nn.Module):
    def __init__(self, features, init, fails):
        super().__init__()
        self.layer, self.fails = torch.nn.Linear(features, 1), fails
        if fails == "at once":
            raise KeyError(features)

    def forward(self, inputs):
        return self.layer(inputs) @ torch.ones(7, 1)
"""


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("at once", "model: Net (own_net.py:10, in __init__): KeyError: 1"),
        ("later", "Net (own_net.py:13, in forward): RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x1 and"),
    ],
)
def test_an_error_of_ones_own_net(
    fails: str,
    said: str,
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Class, file, line and words; in a sweep the same, in each job's summary."""
    (tmp_path / "own_net.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    net = ("model._target_=own_net.Net", f"+model.fails={fails}", "logger=none", "trainer.max_epochs=1")
    answer = call("train", *net)
    assert (answer.code, answer.lines[0][: len(said)], len(answer.lines)) == (2, said, 1)
    assert not (tmp_path / "outputs").exists()
    for launcher in ("basic", "stacked"):
        answer = call("train", "-m", *net, "seed=0,1", f"hydra/launcher={launcher}", f"hydra.sweep.dir={launcher}")
        assert (answer.code, answer.lines[-1][: len(said)], len(answer.lines)) == (2, said, 1)
        assert RunFolder(tmp_path / launcher / "1").read_summary()["message"].startswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("evaluate nowhere", "run=nowhere: no such folder"),
        ("predict nowhere in.csv", "run=nowhere: no such folder"),
        ("export nowhere out", "run=nowhere: no such folder"),
        ("report nowhere", "sweep=nowhere: no such folder"),
        ("evaluate run=nowhere more", "more: expected KEY=VALUE, as in model=…"),
    ],
)
def test_a_path_needs_no_key(arguments: str, said: str, call: Call) -> None:
    answer = call(*arguments.split())
    assert (answer.code, answer.lines) == (2, [said])


def test_what_somebody_reads_is_welcome(call: Call, tmp_path: Path) -> None:
    """Keys that an interpolation, a constructor or Lightning's Trainer reads; directions that the figures need."""
    short = ("logger=none", "trainer.max_epochs=1", "hydra.run.dir=run")
    read = ("+rate=0.5", "optimizer.lr=${rate}", "+optimizer.maximize=false", "+trainer.limit_train_batches=1")
    assert call("train", *short, *read, "+tag=x", "name=${tag}").code == 0
    sweep = ("hydra/sweeper=durable", "hydra/sweeper/sampler=grid", "seed=choice(0,1)", "hydra.sweep.dir=sweep")
    answer = call("train", "-m", *sweep, *short[:2], "objective=[train/mse,train/r2]", "hydra/launcher=stacked")
    assert (answer.code, answer.lines) == (0, [])
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["direction"] == ["minimize", "maximize"]
    plain = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "seed=choice(0,1)", "hydra.sweep.dir=plain")
    assert call("train", "-m", *plain, *short[:2], "objective=[train/mse,train/r2]").code == 0


WORDS = [
    "lr",
    "epochs",
    "true",
    "null",
    "???",
    "''",
    "'a b'",
    '"x',
    "[",
    "[1,",
    "{a:1}",
    "{",
    "größe",
    "😀",
    "-1",
    "1e400",
]
WORDS += ["nan", BIG, "1_0", "0x1F", ",", "a,b", "1,2", "${seed}", "${nope}", "${optimizer.lr}", "${oc.env:NO}", "${"]
WORDS += [
    "range(3)",
    "interval(0,1)",
    "choice(a,b)",
    "tag(x)",
    "int(a)",
    "glob(*)",
    "..",
    "/",
    "a/b",
    "~",
    "+",
    "\\",
    "$",
]
WORDS += [
    "[[1],[2]]",
    "{lr: {a: 1}}",
    "os.system",
    "torch.nn.Linear",
    "src.models.mlp.MLP",
    LONG,
    "0",
    "1",
    "0.5",
    "16-true",
]


def _line(draw: random.Random) -> list[str]:
    """One to three overrides: real keys and groups with values of any kind, typos, and noise."""
    groups = {
        folder.name: [file.stem for file in folder.glob("*.yaml")] for folder in CONF.iterdir() if folder.is_dir()
    }
    groups = {name: options for name, options in groups.items() if name not in ("report", "hydra")}
    ruled = [f"{group}.{name}" if group else name for group, rules in RULES.items() for name in rules]
    keys = [
        *ruled,
        "objective",
        "resume",
        "trust",
        "study",
        "model._target_",
        "optimizer._partial_",
        "callbacks.x",
        "a.b",
    ]
    keys += ["hydra.run.dir", "hydra.job.name", "hydra.verbose", "hydra.mode", "hydra.sweeper.x", "hydra/launcher"]
    found = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        group = draw.choice([*groups])
        key, value = draw.choice((draw.choice(keys), group)), draw.choice(WORDS)
        if key == group and draw.random() < 0.7:
            value = draw.choice(groups[group])
        if draw.random() < 0.25:
            place = draw.randrange(len(key))
            key = (
                key[:place]
                + draw.choice(["", "x", ".", "@", key[place] * 2, " ", key[place].upper()])
                + key[place + 1 :]
            )
        prefix = draw.choice(["", "", "", "", "+", "++", "~"])
        found.append(f"{prefix}{key}" + ("" if prefix == "~" and draw.random() < 0.7 else f"={value}"))
    return found


def test_anything_is_answered(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``PLUMBLINE_ANSWERS=5000`` tries more overrides, ``PLUMBLINE_ANSWERS_SEED=1`` others."""

    def enough(*_: object, **__: object) -> None:
        raise UserError("this would train")

    monkeypatch.setattr(pl.Trainer, "fit", enough)
    read, load = {}, OmegaConf.load

    def load_once(file: Any) -> Any:  # half the time of composing is reading the same YAML files
        name = getattr(file, "name", file)
        if name not in read:
            read[name] = load(file)
        return copy.deepcopy(read[name])

    monkeypatch.setattr(OmegaConf, "load", load_once)
    draw = random.Random(int(os.environ.get("PLUMBLINE_ANSWERS_SEED", "0")))
    left = count = int(os.environ.get("PLUMBLINE_ANSWERS", "500"))
    trained = 0
    while left > 0:
        overrides = _line(draw)
        answer = call("train", "logger=none", "hydra.mode=RUN", *overrides)
        assert (answer.code, len(answer.lines) in (1, 2)) == (2, True), (overrides, answer)
        assert not any(words in answer.err for words in ("Error executing", "Traceback")), (overrides, answer)
        assert everything_under(tmp_path) == set(), (overrides, answer)
        trained += "this would train" in answer.err
        left -= len(overrides)
    assert trained > count / 50, "too few of the lines are no mistake"


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_an_extra_installs(launcher: str, extra: str) -> None:
    """Where it is not installed the answer says how to get it, and not that there is no such launcher."""
    said = str(no_option("hydra/launcher", launcher))
    assert said.startswith(f"hydra/launcher={launcher} needs an extra: python -m pip install")
    assert f"'.[{extra}]'" in said
    extras = tomllib.loads((CONF.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extra in extras
