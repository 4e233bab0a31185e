"""Going on from last.ckpt is as if training had never stopped."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from src.errors import NothingLeft, UserError
from src.runs.folder import RunFolder
from src.training.checkpoints import Writer
from tests.compose import trained
from tests.parity.test_baselines import assert_same_bits, weights
from tests.stacking.pairs import alone, config, together, variants

RUN = ("model=mlp", "model.hidden=[8]", "model.dropout=0.2", "optimizer=adam", "data.batch_size=6")
SINE = (
    *("data=synthetic", "data.kind=sine", "data.n_samples=60", "data.val_fraction=0.3", "model=mlp"),
    *("optimizer=adam", "optimizer.lr=0.01", "data.batch_size=16", "logger=none"),
)
STOPPING = (
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=12",
    "callbacks.early_stopping.min_delta=0.5",
)
LINE = ("logger=none", "trainer.precision=64-true")
GONE = object()


def last(folder: Path) -> dict[str, Any]:
    """What is in a run's last checkpoint."""
    return torch.load(RunFolder(folder).checkpoint("last"), weights_only=True)


def group(folder: Path) -> dict[str, Any]:
    """The options of its optimizer."""
    return last(folder)["optimizer_states"][0]["param_groups"][0]


def assert_same_run(one: Path, other: Path) -> None:
    """Last and best weights to the bit, best epoch, optimizer, scheduler and what callbacks counted."""
    for name in ("last", "best"):
        assert all(torch.equal(x, y) for x, y in zip(weights(one, name), weights(other, name), strict=True)), name
    first, second = RunFolder(one).read_summary(), RunFolder(other).read_summary()
    for key in ("status", "epochs", "steps", "metrics", "best_epoch"):
        assert first.get(key) == second.get(key), key
    a, b = last(one), last(other)
    assert a["lr_schedulers"] == b["lr_schedulers"]
    assert a["callbacks"] == b["callbacks"]
    assert group(one) == group(other)
    assert {k: v for k, v in a["History"].items() if k != "state_dict"} == {
        k: v for k, v in b["History"].items() if k != "state_dict"
    }


@pytest.mark.parametrize("steps", ["auto", "1", "4"])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, steps: str) -> None:
    run = (*RUN, f"trainer.steps_per_execution={steps}")
    trained(tmp_path / "half", *run, "trainer.max_epochs=5")
    resumed = trained(tmp_path / "rest", *run, "trainer.max_epochs=11", f"resume={tmp_path / 'half'}")
    whole = trained(tmp_path / "whole", *run, "trainer.max_epochs=11")
    assert_same_bits(tmp_path / "rest", tmp_path / "whole")
    assert (resumed["epochs"], resumed["steps"]) == (whole["epochs"], whole["steps"])
    assert resumed["metrics"] == whole["metrics"]
    tail = RunFolder(tmp_path / "whole").read_metrics()["train/loss"][5:]
    assert RunFolder(tmp_path / "rest").read_metrics()["train/loss"] == tail


@pytest.mark.parametrize("end", ["max_epochs=11", "max_steps=66"])
@pytest.mark.parametrize("ways", [("auto", "1"), ("1", "auto"), ("1", "1"), ("auto", "auto"), ("4", "1")])
def test_one_way_of_training_goes_on_with_what_the_other_began(ways: tuple[str, str], end: str, tmp_path: Path) -> None:
    """With its count of steps, which the schedule and trainer.max_steps follow."""
    run = (*RUN, "scheduler=cosine", "scheduler.interval=step", "scheduler.T_max=100", "figures=false")
    first, second = (f"trainer.steps_per_execution={each}" for each in ways)
    trained(tmp_path / "half", *run, first, "trainer.max_epochs=5")
    resumed = trained(tmp_path / "rest", *run, second, f"trainer.{end}", f"resume={tmp_path / 'half'}")
    whole = trained(tmp_path / "whole", *run, "trainer.max_epochs=11")
    assert_same_bits(tmp_path / "rest", tmp_path / "whole")
    assert (resumed["epochs"], resumed["steps"]) == (whole["epochs"], whole["steps"]) == (11, 66)
    steps = [RunFolder(tmp_path / name).read_metrics()["step"] for name in ("rest", "whole")]
    assert steps[0] == steps[1][5:]


@pytest.mark.parametrize("steps", ["auto", "1"])
@pytest.mark.parametrize("half", [20, 130])
def test_the_best_epoch_so_far_is_not_forgotten(half: int, steps: str, tmp_path: Path) -> None:
    """Also where it lies before the resumed part, which it does at 130; the better ones after it count as well."""
    run = (*SINE, f"trainer.steps_per_execution={steps}", "figures=false")
    trained(tmp_path / "half", *run, f"trainer.max_epochs={half}")
    trained(tmp_path / "rest", *run, "trainer.max_epochs=140", f"resume={tmp_path / 'half'}")
    whole = trained(tmp_path / "whole", *run, "trainer.max_epochs=140")
    assert half != 130 or whole["best_epoch"] < half, "the run has no best epoch in its first part to lose"
    assert_same_run(tmp_path / "rest", tmp_path / "whole")


@pytest.mark.parametrize(
    "scheduler",
    [
        ("step", "step_size=3"),
        ("cosine", "T_max=50"),
        ("cosine", "T_max=200", "interval=step"),
        ("onecycle", "total_steps=300"),
        ("plateau", "patience=1", "cooldown=1"),
    ],
)
def test_schedule_and_early_stopping_go_on_counting(scheduler: tuple[str, ...], tmp_path: Path) -> None:
    name, *settings = scheduler
    run = (*SINE, *STOPPING, f"scheduler={name}", *(f"scheduler.{each}" for each in settings), "figures=false")
    trained(tmp_path / "half", *run, "trainer.max_epochs=10")
    trained(tmp_path / "rest", *run, "trainer.max_epochs=60", f"resume={tmp_path / 'half'}")
    trained(tmp_path / "whole", *run, "trainer.max_epochs=60")
    assert_same_run(tmp_path / "rest", tmp_path / "whole")
    assert group(tmp_path / "whole")["lr"] != 0.01 or name == "step"


def test_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last checkpoint was written in the middle of the training, and there is no summary."""
    run = (*SINE, *STOPPING, "figures=false", "trainer.max_epochs=30", "callbacks.checkpoints.every_n_epochs=1")
    write, written = Writer.__call__, []

    def copied(self: Writer, trainer: Any, last: bool) -> None:
        write(self, trainer, last)
        written.append(trainer.current_epoch)
        if len(written) == 3:
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    monkeypatch.setattr(Writer, "__call__", copied)
    steps = "trainer.steps_per_execution=4"
    trained(tmp_path / "whole", *run, steps)
    monkeypatch.undo()
    assert not (tmp_path / "killed" / "summary.json").exists()
    trained(tmp_path / "rest", *run, steps, f"resume={tmp_path / 'killed'}")
    assert_same_run(tmp_path / "rest", tmp_path / "whole")


@pytest.mark.parametrize("scheduler", ["cosine", "onecycle"])
def test_a_schedule_as_long_as_its_training_becomes_that_of_a_longer_one(scheduler: str, tmp_path: Path) -> None:
    """From the first step on, at the place where a run of the new length would be."""
    run = (*RUN, f"scheduler={scheduler}", "figures=false", "logger=none")
    trained(tmp_path / "half", *run, "trainer.max_epochs=5")
    trained(tmp_path / "rest", *run, "trainer.max_epochs=11", f"resume={tmp_path / 'half'}")
    trained(tmp_path / "whole", *run, "trainer.max_epochs=11")
    rest, whole = (RunFolder(tmp_path / name).read_metrics()["lr"] for name in ("rest", "whole"))
    assert rest == whole[5:]
    assert last(tmp_path / "rest")["lr_schedulers"] == last(tmp_path / "whole")["lr_schedulers"]
    assert group(tmp_path / "rest") == group(tmp_path / "whole")


def test_a_changed_learning_rate_holds_from_the_first_step(tmp_path: Path) -> None:
    """A full batch without momentum: a step of a tenth of the rate is a tenth of the step."""
    trained(tmp_path / "half", *LINE, "trainer.max_epochs=5")
    for name, lr in (("same", "0.02"), ("tenth", "0.002")):
        resumed = (f"resume={tmp_path / 'half'}", f"optimizer.lr={lr}", "trainer.max_epochs=6")
        trained(tmp_path / name, *LINE, *resumed)
    for start, same, tenth in zip(*(weights(tmp_path / name) for name in ("half", "same", "tenth")), strict=True):
        torch.testing.assert_close(tenth - start, (same - start) / 10)


@pytest.mark.parametrize("scheduler", ["none", "step", "onecycle", "plateau"])
def test_changed_options_hold(scheduler: str, tmp_path: Path) -> None:
    run = (*RUN, "figures=false", "logger=none", f"scheduler={scheduler}")
    trained(tmp_path / "half", *run, "trainer.max_epochs=5")
    more = ["optimizer.lr=0.0125", "optimizer.weight_decay=0.25", "optimizer.betas=[0.5,0.75]", "trainer.max_epochs=6"]
    more += {"step": ["scheduler.step_size=2"], "plateau": ["scheduler.patience=7"]}.get(scheduler, [])
    trained(tmp_path / "rest", *run, *more, f"resume={tmp_path / 'half'}")
    trained(tmp_path / "fresh", *run, *more)
    found, wanted = group(tmp_path / "rest"), group(tmp_path / "fresh")
    assert found == wanted
    assert RunFolder(tmp_path / "rest").read_metrics().get("lr") == (
        RunFolder(tmp_path / "fresh").read_metrics()["lr"][5:] if scheduler != "none" else None
    )
    if scheduler == "plateau":
        [state] = last(tmp_path / "rest")["lr_schedulers"]
        assert (state["patience"], state["last_epoch"]) == (7, 6)


def test_changed_patience_holds(tmp_path: Path) -> None:
    """Epochs without improvement are counted from before."""
    run = (*SINE, "callbacks=early_stopping", "figures=false", "callbacks.early_stopping.min_delta=1000")
    first = trained(tmp_path / "half", *run, "callbacks.early_stopping.patience=4")
    with pytest.raises(NothingLeft, match=r"stopped early after 5 epochs, .*callbacks.early_stopping.patience than 4"):
        trained(tmp_path / "no", *run, "callbacks.early_stopping.patience=4", f"resume={tmp_path / 'half'}")
    resumed = trained(tmp_path / "rest", *run, "callbacks.early_stopping.patience=9", f"resume={tmp_path / 'half'}")
    assert [each["status"] for each in (first, resumed)] == ["stopped early"] * 2
    assert (first["epochs"], resumed["epochs"]) == (5, 10)


def test_changed_patience_of_lightnings_own_early_stopping(tmp_path: Path) -> None:
    """Which takes its patience from a checkpoint."""
    node = "_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/mse,min_delta:1000"
    run = (*SINE, "figures=false", f"+callbacks.stop={{{node},patience:4}}")
    first = trained(tmp_path / "half", *run)
    resumed = trained(tmp_path / "rest", *run, "callbacks.stop.patience=9", f"resume={tmp_path / 'half'}")
    assert (first["epochs"], resumed["epochs"]) == (5, 10)


def test_changed_batches(tmp_path: Path) -> None:
    trained(tmp_path / "half", *RUN, "trainer.max_epochs=5")
    resumed = trained(
        tmp_path / "rest", *RUN, "data.batch_size=16", "trainer.max_epochs=7", f"resume={tmp_path / 'half'}"
    )
    assert (resumed["epochs"], resumed["steps"]) == (7, 5 * 6 + 2 * 2)


def test_steps_instead_of_epochs(tmp_path: Path) -> None:
    """Whole epochs only: where the last one was cut short, masks and rows of the next step are not known."""
    for name, steps in (("half", 12), ("cut", 16), ("whole", 20)):
        trained(tmp_path / name, *RUN, f"trainer.max_steps={steps}", "trainer.max_epochs=-1")
    more = (*RUN, "trainer.max_steps=20", "trainer.max_epochs=-1")
    trained(tmp_path / "rest", *more, f"resume={tmp_path / 'half'}")
    assert_same_bits(tmp_path / "rest", tmp_path / "whole")
    with pytest.raises(UserError, match="max_steps ended it within epoch 3, after optimizer step 16"):
        trained(tmp_path / "no", *more, f"resume={tmp_path / 'cut'}")
    trained(tmp_path / "other", *RUN, "data.batch_size=16", "trainer.max_epochs=3", f"resume={tmp_path / 'half'}")
    with pytest.raises(UserError, match="max_steps=20 counts 2 optimizer steps an epoch, the run had 14 in 3"):
        trained(tmp_path / "no", *more, "data.batch_size=16", f"resume={tmp_path / 'other'}")


@pytest.mark.parametrize("what", ["rows", "target"])
def test_another_table(what: str, tmp_path: Path) -> None:
    """Refused with both hashes' beginnings, or both targets."""
    rows = [f"{i},{i % 3},{i % 5}" for i in range(20)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["x,y,z", *rows]))
    run = ("data=csv", f"data.path={table}", "data.features=[x]", "trainer.max_epochs=2", "logger=none")
    trained(tmp_path / "half", *run, "data.target=y")
    target = "z"
    if what == "rows":
        table.write_text("\n".join(["x,y,z", *rows[::-1]]))
        target = "y"
    before = last(tmp_path / "half")["Run"]["sha256"]
    with pytest.raises(UserError) as error:
        trained(tmp_path / "rest", *run, f"data.target={target}", f"resume={tmp_path / 'half'}")
    said = (f"SHA-256 {before[:12]}… of", "found ") if what == "rows" else ("learned 'y'", "is 'z'")
    assert all(words in str(error.value) for words in said), error.value
    assert not (tmp_path / "rest" / "metrics.csv").exists()


def test_an_older_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without what it was trained on: a line says what is not checked; a changed option holds all the same."""
    trained(tmp_path / "half", *RUN, "trainer.max_epochs=5")
    path = RunFolder(tmp_path / "half").checkpoint("last")
    torch.save({k: v for k, v in last(tmp_path / "half").items() if k not in ("Run", "History")}, path)
    run = (*RUN, "trainer.max_epochs=11", f"resume={tmp_path / 'half'}")
    with caplog.at_level(logging.WARNING):
        trained(tmp_path / "rest", *run)
    assert "last.ckpt: an older checkpoint, which does not say what rows" in caplog.text
    trained(tmp_path / "whole", *RUN, "trainer.max_epochs=11")
    assert_same_bits(tmp_path / "rest", tmp_path / "whole")
    trained(tmp_path / "other", *run, "optimizer.lr=0.5")
    assert group(tmp_path / "other")["lr"] == 0.5


@pytest.mark.parametrize("widths", [([6], [6]), ([4], [8, 8])])
def test_a_member_of_a_stack_knows_its_best_epoch(widths: tuple[list[int], ...], tmp_path: Path) -> None:
    """Resumed alone, with a learning rate that spoils it: its best weights are the stack's, to the bit."""
    patient = (*STOPPING[:1], "callbacks.early_stopping.patience=1000")
    base = config(*SINE, *patient, "trainer.max_epochs=40")
    folders = together(
        variants(base, *({"seed": seed, "model.hidden": hidden} for seed, hidden in enumerate(widths))), tmp_path
    )
    for place, folder in enumerate(folders):
        saved = torch.load(folder.checkpoint("last"), weights_only=True)
        best = torch.load(folder.checkpoint("best"), weights_only=True)
        assert saved["History"]["epoch"] == best["epoch"] == folder.read_summary()["best_epoch"]
        assert saved["callbacks"]["EarlyStopping"]["waited"] < 40
        assert saved["Run"]["sha256"] == folder.read_summary()["data"]["sha256"]
        folder.config.parent.mkdir(exist_ok=True)
        folder.config.touch()  # what makes it a run folder
        hidden = str(widths[place]).replace(" ", "")
        run = (*SINE, *patient, f"seed={place}", f"model.hidden={hidden}", "figures=false")
        more = ("trainer.max_epochs=42", "optimizer.lr=10", f"resume={folder.path}")
        resumed = trained(tmp_path / f"rest{place}", *run, *more)
        assert resumed["epochs"] == 42
        assert resumed["best_epoch"] == best["epoch"]
        for one, other in zip(weights(folder.path, "best"), weights(tmp_path / f"rest{place}", "best"), strict=True):
            assert torch.equal(one, other)


def test_a_member_of_a_stack_has_counted_what_a_lone_run_counts(tmp_path: Path) -> None:
    """Also one that stopped while its neighbour went on."""
    base = config(*SINE, *STOPPING, "trainer.max_epochs=60")
    configs = variants(base, *({"callbacks.early_stopping.patience": patience} for patience in (3, 1000)))
    counted = []
    for folders in (alone(configs, tmp_path), together(configs, tmp_path)):
        counted.append([last(folder.path)["callbacks"]["EarlyStopping"] for folder in folders])
        assert [folder.read_summary()["epochs"] < 60 for folder in folders] == [True, False]
    for one, other in zip(*counted, strict=True):
        assert one == other | {"best": pytest.approx(other["best"], rel=1e-4)}
    assert counted[1][0]["waited"] == 3


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(0), r"exp_avg of weight 0 is not of the form"),
        (("optimizer_states", 0, "state", 0, "exp_avg"), GONE, r"exp_avg of weight 0 is not of the form"),
        (("optimizer_states", 0, "state"), {}, "what its optimizer kept is gone"),
        (("optimizer_states",), [], r"\(optimizer_states\)"),
        (("optimizer_states", 0, "state", 0), [], r"optimizer_states\.0\.state\.0"),
        (("optimizer_states", 0, "param_groups", 0, "lr"), None, r"optimizer_states\.0\.param_groups\.0\.lr"),
        (("loops", "fit_loop", "epoch_progress", "current", "ready"), "x", r"\(loops"),
        (("callbacks",), None, r"\(callbacks\)"),
        (("callbacks", "EarlyStopping", "best"), [], "does not hold what a training goes on from"),
        (("History", "state_dict", "layers.0.bias"), torch.zeros(7), "does not fit this run's model"),
        (("History",), "x", r"\(History\)"),
        (("state_dict",), {}, "does not fit this run's model"),
        (("Run", "sha256"), 1, r"\(Run\.sha256\)"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_refused(tmp_path: Path, place: tuple[Any, ...], value: Any, said: str) -> None:
    """torch's kernels read past the end of a state that is too small, and ended the process."""
    run = ("model=mlp", "model.hidden=[8]", "optimizer=adam", "callbacks=early_stopping", "data.val_fraction=0.2")
    trained(tmp_path / "run", *run, "logger=none", "trainer.max_epochs=2")
    path = RunFolder(tmp_path / "run").checkpoint("last")
    content = holder = torch.load(path, weights_only=True)
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    if value is GONE:
        del holder[place[-1]]
    torch.save(content, path)
    path.with_name("previous.ckpt").unlink(missing_ok=True)
    with pytest.raises(UserError, match=said):
        trained(tmp_path / "more", *run, "logger=none", "trainer.max_epochs=4", f"resume={tmp_path / 'run'}")


def test_an_option_that_has_the_optimizer_keep_more(tmp_path: Path) -> None:
    """amsgrad's largest averages begin where the run goes on; by torch alone they are missing at the first step."""
    trained(tmp_path / "run", *RUN, "logger=none", "trainer.max_epochs=2")
    more = (*RUN, "logger=none", "trainer.max_epochs=4", f"resume={tmp_path / 'run'}", "optimizer.amsgrad=true")
    assert trained(tmp_path / "more", *more)["epochs"] == 4
    kept = last(tmp_path / "more")["optimizer_states"][0]["state"][0]
    assert kept["max_exp_avg_sq"].abs().sum() > 0
