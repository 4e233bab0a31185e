"""A stack that is killed goes on from its members' checkpoints, to the bits of one that nobody killed."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.runs.folder import RunFolder
from src.runs.point import done
from tests.faults.process import Forked, warm
from tests.faults.same import differences
from tests.stacking.conftest import read
from tests.stacking.pairs import gap

MEMBERS = 5
STACK = ("-m", "hydra/launcher=stacked", f"hydra.sweeper.n_trials={MEMBERS}", f"hydra.sweeper.n_jobs={MEMBERS}")
NET = ("model=mlp", "model.hidden=[8]", "model.dropout=0.1", "data.val_fraction=0.2", "data.batch_size=8")
OFTEN = ("trainer.max_epochs=60", "callbacks.checkpoints.every_n_epochs=6", "logger=none")
SEEDS = (*STACK, "sweep=seeds", *NET, *OFTEN, "optimizer=adam")
# Some have their best epoch before the kill, and stop after it.
STOPS = ("callbacks=early_stopping", "callbacks.early_stopping.patience=17", "optimizer.lr=0.1")
CASES = {
    "torch's optimizer, and members that stop early": (*SEEDS, "scheduler=cosine", *STOPS),
    "a rule with a member axis, and a schedule that looks at each": (
        *(*STACK, "sweep=lr", *NET, *OFTEN, "optimizer=sgd", "optimizer.momentum=0.9", "scheduler=plateau"),
        *("scheduler.patience=2", "trainer.gradient_clip_val=1"),
    ),
    "a rate that moves with each step, and momentum with it": (*SEEDS, "scheduler=onecycle", "scheduler.interval=step"),
    "batches of other sizes, and so other steps": (
        *(*STACK, "hydra/sweeper=durable", "hydra/sweeper/sampler=grid", "hydra.sweeper.study_name=sizes", *NET[:-1]),
        *(*OFTEN, "data.batch_size=choice(4,5,6,7)", "seed=choice(0,1)", "optimizer=adam"),
    ),
    "layers with other statistics": (*STACK, "sweep=seeds", "model=resnet", *NET[3:], *OFTEN, "optimizer=rmsprop"),
    "chains of other depth and width": (
        *(*STACK, "hydra/sweeper=durable", "hydra/sweeper/sampler=grid", "hydra.sweeper.study_name=chains", *NET[3:]),
        *(*OFTEN, "model=mlp", "model.hidden=choice([8],[8,8],[8,8,8],[5],[6,6])", "optimizer=adamw"),
    ),
}


@pytest.fixture(autouse=True)
def _warm() -> None:
    warm()


def same(where: Path) -> dict[int, list[str]]:
    """What differs, by member."""
    each = {
        member: differences(where / "hurt" / str(member), where / "whole" / str(member)) for member in range(MEMBERS)
    }
    return {member: found for member, found in each.items() if found}


def after(folder: Path) -> int:
    """Epochs of a checkpoint."""
    path = RunFolder(folder).checkpoint("last")
    return done(torch.load(path, weights_only=True))[0]


def dies(call: int, number: int = signal.SIGKILL) -> Callable[[], None]:
    """Sends the process a signal before it writes its checkpoint of this number, of all members together."""

    def before() -> None:
        from src.stacks.members import Folders

        go_on, calls = Folders.go_on, []

        def counted(self: Folders, place: int) -> None:
            calls.append(place)
            if len(calls) == call:
                os.kill(os.getpid(), number)
            go_on(self, place)

        Folders.go_on = counted  # type: ignore[method-assign]

    return before


@pytest.mark.parametrize("case", CASES)
def test_members_go_on_together_to_the_bit(case: str, tmp_path: Path) -> None:
    """Killed within its third round of checkpoints: two members are one ahead, and all go on from the second."""
    line = CASES[case]
    assert (whole := Forked(tmp_path, *line, "hydra.sweep.dir=whole")).wait() == 0, whole.said()
    process = Forked(tmp_path, *line, "hydra.sweep.dir=hurt", before=dies(2 * MEMBERS + 3))
    assert process.wait() == -signal.SIGKILL, process.said()
    for member in range(MEMBERS):
        folder = tmp_path / "hurt" / str(member)
        epochs = RunFolder(folder).read_metrics()["epoch"]
        assert epochs == [*range(1, after(folder) + 1)], "a row that a checkpoint knows is on the disk"
    assert sorted(after(tmp_path / "hurt" / str(member)) for member in range(MEMBERS)) == [12, 12, 12, 18, 18]
    again = Forked(tmp_path, *line, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    assert f"{MEMBERS} of {MEMBERS} go on after epoch 12, from their checkpoints" in again.said()
    assert same(tmp_path) == {}


def test_who_ended_is_whole_at_the_next_checkpoint(tmp_path: Path) -> None:
    """And stays as it is, while the others go on; who diverged keeps its last sound checkpoint, as alone."""
    one = (*OFTEN, "data.val_fraction=0.2", "figures=false")
    line = (*STACK, "hydra/sweeper=durable", "hydra/sweeper/sampler=grid", "hydra.sweeper.study_name=rates", *one)
    line = (*line, "optimizer.lr=choice(0.001,0.002,0.004,0.12,9)", "hydra.sweeper.sampler.seed=0")
    assert (whole := Forked(tmp_path, *line, "hydra.sweep.dir=whole")).wait() == 0, whole.said()
    rates = [OmegaConf.load(tmp_path / f"whole/{member}/.hydra/config.yaml").optimizer.lr for member in range(MEMBERS)]
    # Four checkpoints in each of the first three rounds, and three in the others, when both have diverged.
    process = Forked(tmp_path, *line, "hydra.sweep.dir=hurt", before=dies(3 * 4 + 3 + 2))
    assert process.wait() == -signal.SIGKILL, process.said()
    ended = {path.parent.name: path.read_bytes() for path in (tmp_path / "hurt").glob("*/summary.json")}
    assert sorted(rates[int(member)] for member in ended) == [0.12, 9]
    again = Forked(tmp_path, *line, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    assert "3 of 3 go on after epoch 24, from their checkpoints" in again.said()
    assert all((tmp_path / "hurt" / member / "summary.json").read_bytes() == text for member, text in ended.items())
    assert same(tmp_path) == {}
    assert Forked(tmp_path, *one, "optimizer.lr=0.12", "hydra.run.dir=alone").wait() == 1
    assert after(tmp_path / "alone") == after(tmp_path / "hurt" / str(rates.index(0.12))) == 18


@pytest.mark.parametrize("guilty", [True, False])
def test_by_halves_where_no_checkpoint_came_between(guilty: bool, tmp_path: Path) -> None:
    """The second death at one point may be a member's doing; halves go on from where all had come to."""
    assert Forked(tmp_path, *SEEDS, "hydra.sweep.dir=whole").wait() == 0
    for call in (2 * MEMBERS + 1, 1 if guilty else MEMBERS + 1):
        process = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt", before=dies(call))
        assert process.wait() == -signal.SIGKILL, process.said()
    again = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    if guilty:
        assert [int(jobs) for jobs in re.findall(r"Launching (\d) job", again.said())] == [3, 2]
        assert re.findall(r"(\d) of \d go on after epoch (\d+)", again.said()) == [("3", "12"), ("2", "12")]
    else:
        assert re.findall(r"(\d) of \d go on after epoch (\d+)", again.said()) == [("5", "18")]
        assert same(tmp_path) == {}


def test_without_a_whole_round_of_checkpoints_all_begin(tmp_path: Path) -> None:
    """Together: the two that have one would not wait for the others."""
    process = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt", before=dies(3))
    assert process.wait() == -signal.SIGKILL, process.said()
    assert Forked(tmp_path, *SEEDS, "hydra.sweep.dir=whole").wait() == 0
    again = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    assert "go on after" not in again.said()
    assert same(tmp_path) == {}


def test_a_signal(tmp_path: Path) -> None:
    """Ends the epoch and writes all; the same command goes on together, to the bit."""
    assert Forked(tmp_path, *SEEDS, "hydra.sweep.dir=whole").wait() == 0
    process = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt", before=dies(MEMBERS + 2, signal.SIGTERM))
    assert process.wait() == 128 + signal.SIGTERM, process.said()
    assert {read(tmp_path / "hurt" / str(member))["status"] for member in range(MEMBERS)} == {"interrupted"}
    again = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    assert f"{MEMBERS} of {MEMBERS} go on after epoch" in again.said()
    assert same(tmp_path) == {}


def test_one_member_alone(tmp_path: Path) -> None:
    """It is an ordinary run: it goes on by its own folder, to the numbers that it has in the stack."""
    assert Forked(tmp_path, *SEEDS, "hydra.sweep.dir=whole").wait() == 0
    process = Forked(tmp_path, *SEEDS, "hydra.sweep.dir=hurt", before=dies(2 * MEMBERS + 1))
    assert process.wait() == -signal.SIGKILL, process.said()
    process = Forked(tmp_path, "hydra.run.dir=hurt/3", "resume=hurt/3")
    assert process.wait() == 0, process.said()
    one, other = (RunFolder(tmp_path / name / "3") for name in ("hurt", "whole"))
    assert one.read_metrics()["epoch"] == other.read_metrics()["epoch"]
    assert max(gap(one, other), gap(one, other, "best")) < 1e-5


def _dies_over_the_folder_of_member_1() -> None:
    """The process is killed where it writes how a member was started, over what stands there from before."""
    replace, write_text = os.replace, Path.write_text

    def torn(self: Path, text: str, **options: str) -> int:
        found = write_text(self, "" if self.match("hurt/1/.hydra/hydra.yaml") else text, **options)
        dying(self)
        return found

    def dying(path: str | Path) -> None:
        if Path(path).match("hurt/1/.hydra/hydra.yaml"):
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = lambda one, other: (dying(other), replace(one, other))  # type: ignore[assignment,misc]
    Path.write_text = torn  # type: ignore[method-assign,assignment]


def test_a_kill_while_a_folder_is_made_ready_again(tmp_path: Path) -> None:
    """Of a torn hydra.yaml nobody knew whose folder it was, and the sweep was refused."""
    line = (*SEEDS, "hydra.sweep.dir=hurt")
    for before in (dies(2 * MEMBERS), _dies_over_the_folder_of_member_1):
        process = Forked(tmp_path, *line, before=before)
        assert process.wait() == -signal.SIGKILL, process.said()
    again = Forked(tmp_path, *line)
    assert again.wait() == 0, again.said()
    assert [read(tmp_path / "hurt" / str(member))["status"] for member in range(MEMBERS)] == ["completed"] * MEMBERS


def test_a_member_whose_checkpoint_lacks_what_its_optimizer_kept(tmp_path: Path) -> None:
    """It is the only one to fail; in the stack it would have gone on to other numbers without a word."""
    line = (*SEEDS, "hydra.sweep.dir=hurt")
    process = Forked(tmp_path, *line, before=dies(2 * MEMBERS + 1))
    assert process.wait() == -signal.SIGKILL, process.said()
    path = tmp_path / "hurt/0/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    del content["optimizer_states"][0]["state"][0]["exp_avg"]
    torch.save(content, path)
    path.with_name("previous.ckpt").unlink()
    again = Forked(tmp_path, *line)
    assert again.wait() == 0, again.said()
    found = [read(tmp_path / "hurt" / str(member)) for member in range(MEMBERS)]
    assert [each["status"] for each in found] == ["failed", *["completed"] * (MEMBERS - 1)]
    assert "exp_avg of weight 0" in found[0]["message"]
