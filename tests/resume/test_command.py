"""``python -m src.train resume=DIR``: the run's own configuration, as the command line changes it."""

import shlex
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.cli.test_folders import content
from tests.commands import Call, ended, everything_under, start
from tests.parity.test_baselines import assert_same_bits

SHORT = ("logger=none", "figures=false")
NET = ("model=mlp", "model.hidden=[8]", "optimizer=adam", "optimizer.weight_decay=0.1", "data.batch_size=8", "seed=3")


def resumed(call: Call, *overrides: str) -> RunFolder:
    """Goes on with ``run`` in ``more``, which has to be silent about mistakes and leave ``run`` as it was."""
    before = content(Path("run"))
    answer = call("train", "resume=run", "hydra.run.dir=more", *overrides)
    assert answer.code == 0, answer.err
    assert content(Path("run")) == before
    return RunFolder("more")


def value(folder: RunFolder, key: str) -> object:
    return OmegaConf.select(OmegaConf.load(folder.config), key)


def group(folder: RunFolder) -> dict[str, object]:
    return torch.load(folder.checkpoint("last"), weights_only=True)["optimizer_states"][0]["param_groups"][0]


def test_it_needs_nothing_but_the_folder(call: Call) -> None:
    """Of another model, optimizer, data and seed than conf/'s own; it ends where the run never stopped does."""
    run = (*NET, *SHORT)
    assert call("train", *run, "trainer.max_epochs=4", "hydra.run.dir=run").code == 0
    assert call("train", *run, "trainer.max_epochs=7", "hydra.run.dir=whole").code == 0
    assert_same_bits(resumed(call, "trainer.max_epochs=7").path, Path("whole"))
    summary = RunFolder("more").read_summary()
    assert summary["overrides"] == ["resume=run", "trainer.max_epochs=7"]
    assert summary["command"] == "python -m src.train resume=run trainer.max_epochs=7"
    assert not (Path("more") / "events.out.tfevents").exists()
    assert not list(Path("more").glob("events.*")), "the run had no logger"
    assert_same_bits(resumed_again(call), Path("whole"))


def resumed_again(call: Call) -> Path:
    """The whole command over again, with the resumed run's name as its folder's."""
    answer = call("train", *NET, *SHORT, "resume=run", "trainer.max_epochs=7")
    assert answer.code == 0, answer.err
    [folder] = Path("outputs/train").glob("*/*")
    assert folder.name.endswith("-mlp")
    return folder


@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        ("optimizer.lr=0.5", "optimizer.lr", 0.5),
        ("++optimizer.lr=0.5", "optimizer.lr", 0.5),
        ("optimizer.betas=[0.5,0.6]", "optimizer.betas", [0.5, 0.6]),
        ("optimizer=adam", "optimizer.weight_decay", 0.0),
        ("optimizer=adam optimizer.lr=0.5", "optimizer.lr", 0.5),
        ("optimizer={lr:0.5}", "optimizer.weight_decay", 0.1),
        ("loss=huber loss.delta=2", "loss.delta", 2),
        (
            "callbacks=early_stopping callbacks.early_stopping.monitor=train/loss",
            "callbacks.early_stopping.patience",
            20,
        ),
        ("data.batch_size=16", "data.batch_size", 16),
        ("+trainer.log_every_n_steps=7", "trainer.log_every_n_steps", 7),
        ("'optimizer.lr=${data.batch_size}'", "optimizer.lr", 8),
    ],
)
def test_what_the_command_line_changes(overrides: str, key: str, expected: object, call: Call) -> None:
    assert call("train", *NET, *SHORT, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    folder = resumed(call, *shlex.split(overrides), "trainer.max_epochs=4")
    assert value(folder, key) == expected
    assert value(folder, "trainer.max_epochs") == 4
    assert value(folder, "model.hidden") == [8]
    for name in ("lr", "betas", "weight_decay"):
        found = group(folder)[name]
        assert (list(found) if isinstance(found, tuple) else found) == value(folder, f"optimizer.{name}")


def test_an_experiment_sets_what_it_says(call: Call) -> None:
    """Groups that it chooses, as it changes them, and single values; everything else stays."""
    run = ("model=mlp", "optimizer=adam", "optimizer.weight_decay=0.1", "seed=3", "callbacks.progress.every_n_epochs=7")
    assert call("train", *run, *SHORT, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    folder = resumed(call, "experiment=save_and_load", "trainer.max_epochs=4")
    wanted = {"data.batch_size": 8, "optimizer.lr": 0.003, "optimizer.weight_decay": 0.0, "trainer.max_epochs": 4}
    stays = {"seed": 3, "callbacks.progress.every_n_epochs": 7, "data.target": "mpg", "figures": False, "logger": {}}
    for key, expected in (wanted | stays).items():
        assert value(folder, key) == expected, key


@pytest.mark.parametrize(
    ("had", "asks", "said"),
    [
        ("model=mlp", "model.hidden=[8]", "model.hidden was [64,64], found [8]"),
        ("model=mlp", "model.activation=tanh", "model.activation was relu, found tanh"),
        ("model=mlp", "model.dropout=0.1", "model.dropout was 0.0, found 0.1"),
        ("optimizer=adam", "optimizer=adamw", "optimizer._target_ was torch.optim.Adam, found torch.optim.AdamW"),
        ("optimizer=adam", "optimizer.amsgrad=true", "optimizer.amsgrad was false, found true"),
        ("optimizer=rmsprop", "optimizer.momentum=0.5", "optimizer.momentum was 0.0, found 0.5"),
        ("scheduler=onecycle", "scheduler=step", "OneCycleLR, found torch.optim.lr_scheduler.StepLR"),
        ("scheduler=step", "scheduler=none", "scheduler._target_ was torch.optim.lr_scheduler.StepLR, found null"),
        ("scheduler=step", "scheduler.interval=step", "scheduler.interval was epoch, found step"),
        ("scheduler=onecycle", "data.batch_size=4", "data.batch_size was null, found 4"),
        ("trainer.max_steps=2", "data.shuffle=false", "data.shuffle was true, found false"),
        ("data.val_fraction=0.2", "objective=val/mae", "objective judged epochs by val/mse, found val/mae"),
    ],
)
def test_what_has_to_stay(had: str, asks: str, said: str, call: Call, tmp_path: Path) -> None:
    """One line that names the key, what the run had and what was asked; nothing is left behind."""
    assert call("train", had, *SHORT, "trainer.max_epochs=3", "hydra.run.dir=run").code == 0
    before = content(tmp_path)
    assert_refused(call("train", "resume=run", asks, "trainer.max_epochs=6"), "resume=run: ", said)
    assert content(tmp_path) == before


def test_a_table_by_its_path(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one is read from where the run was started; a moved file is named, and other rows are refused."""
    table = tmp_path / "table.csv"
    table.write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    run = ("data=csv", "data.path=table.csv", "data.target=y", *SHORT)
    assert call("train", *run, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    answer = call("train", "resume=../run", "trainer.max_epochs=3", "hydra.run.dir=a")
    assert answer.code == 0, answer.err
    assert value(RunFolder("a"), "data.path") == str(table)
    table.rename("moved.csv")
    assert_refused(call("train", "resume=../run", "trainer.max_epochs=3"), "table.csv: no such file")
    assert call("train", "resume=a", "trainer.max_epochs=4", "data.path=moved.csv", "hydra.run.dir=b").code == 0
    Path("moved.csv").write_text("x,y\n" + "".join(f"{i},{i % 4}\n" for i in range(20)))
    before = everything_under(tmp_path)
    answer = call("train", "resume=a", "trainer.max_epochs=4", "data.path=moved.csv")
    assert_refused(answer, "last.ckpt: was trained on other rows, SHA-256", "moved.csv")
    assert everything_under(tmp_path) == before


@pytest.mark.parametrize(
    "asks", ["", "trainer.max_epochs=2", "trainer.max_epochs=1 optimizer.lr=0.5", "trainer.max_steps=2"]
)
def test_nothing_left_to_do(asks: str, call: Call, tmp_path: Path) -> None:
    """Said in one line, and nothing is left behind."""
    assert call("train", *SHORT, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    before = content(tmp_path)
    answer = call("train", "resume=run", *asks.split())
    assert answer.code == 0, answer.err
    assert answer.err == ""
    assert answer.out.startswith("resume=run: has 2 ")
    assert len(answer.out.splitlines()) == 1
    assert content(tmp_path) == before
    assert everything_under(tmp_path) == {"run"} | {f"run/{name}" for name in everything_under(tmp_path / "run")}


def test_a_killed_process(call: Call, tmp_path: Path) -> None:
    """It left a last checkpoint and no summary."""
    line = ("-m", "src.train", *NET, *SHORT, "trainer.max_epochs=100000000", "hydra.run.dir=run")
    process = start(tmp_path, *line, "callbacks.checkpoints.every_n_seconds=0.2")
    patience = time.monotonic() + 60
    while not (tmp_path / "run/checkpoints/best.ckpt").exists() and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    ended(process)
    assert not RunFolder("run").summary.exists()
    done = torch.load(RunFolder("run").checkpoint("last"), weights_only=True)["epoch"]
    summary = resumed(call, f"trainer.max_epochs={done + 50}").read_summary()
    assert (summary["status"], summary["epochs"]) == ("completed", done + 50)
    assert summary["seed"] == 3


def test_a_trial_of_a_sweep(call: Call, tmp_path: Path) -> None:
    """Whose keys conf/train.yaml alone does not have; and a sweep over ways to go on."""
    sweep = ("sweep=mlp", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=sweep", "trainer.max_epochs=2", *SHORT)
    answer = call("train", "-m", *sweep)
    assert answer.code == 0, answer.err
    shutil.copytree("sweep/0", "run")
    folder = resumed(call, "trainer.max_epochs=4", "optimizer.weight_decay=0.5")
    assert folder.read_summary()["epochs"] == 4
    assert group(folder)["weight_decay"] == 0.5
    answer = call(
        "train", "-m", "resume=run", "trainer.max_epochs=3", "optimizer.eps=0.001,0.1", "hydra.sweep.dir=ways"
    )
    assert answer.code == 0, answer.err
    assert [group(RunFolder(f"ways/{number}"))["eps"] for number in range(2)] == [0.001, 0.1]


def test_a_folder_is_data(call: Call, tmp_path: Path) -> None:
    """What it may construct is on a closed list, in every group that is built; and it reads nothing of ours."""
    assert call("train", *SHORT, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    config = tmp_path / "run/.hydra/config.yaml"
    whole = OmegaConf.load(config)
    for key, node in (
        ("callbacks.trick", {"_target_": "os.system", "command": "touch mark"}),
        ("logger", {"trick": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "mark"}}),
        ("optimizer._target_", "subprocess.Popen"),
        ("scheduler._target_", "subprocess.Popen"),
    ):
        changed = whole.copy()
        OmegaConf.update(changed, key, node, force_add=True)
        OmegaConf.save(changed, config)
        assert_refused(
            call("train", "resume=run", "trainer.max_epochs=3"), f"resume=run: {key.split('.')[0]}", "expected "
        )
    whole.name = "${oc.env:HOME}"
    OmegaConf.save(whole, config)
    assert_refused(call("train", "resume=run", "trainer.max_epochs=3"), "resume=run: name: expected a value")
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
