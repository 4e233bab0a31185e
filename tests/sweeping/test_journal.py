"""The journal after the worst moments."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import UserError
from src.sweeping.storage import forget, open_storage
from tests.sweeping.conftest import Open, ask, finish


def test_a_torn_line_costs_only_itself(opened: Open, tmp_path: Path) -> None:
    study = opened()
    finish(study, ask(study))
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id": "half a rec')
    finish(study, ask(study))  # a process that was running all along
    again = opened()
    finish(again, ask(again))
    assert [trial.number for trial in again.trials()] == [0, 1, 2]


def test_a_full_disk_leaves_the_study_whole(opened: Open, tmp_path: Path) -> None:
    study = opened()
    finish(study, ask(study))
    journal = tmp_path / "study.journal"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The largest file that this process may write ends in the middle of the next record.
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 20, before[1]))
        with pytest.raises(UserError, match=r"study\.journal cannot be used"):
            ask(study)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert journal.read_bytes().endswith(b"\n")
    again = opened()
    assert len(again.trials()) == 1
    assert ask(again).number == 1


@pytest.mark.parametrize("content", [b"name,value\n1,2\n", b"no newline at the end"])
def test_another_file_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"data\.csv: is not a study"):
        open_storage(str(file))
    assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["data.csv"]


def test_a_corrupt_line_is_named(opened: Open, tmp_path: Path) -> None:
    study = opened()
    finish(study, ask(study))
    journal = tmp_path / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"{garbage}\n" + b"".join(lines[1:]))
    forget()
    with pytest.raises(UserError, match=r"study\.journal: is not an Optuna journal: a line begins '{garbage}"):
        opened()


def test_a_killed_holder_lets_go_of_the_lock(tmp_path: Path) -> None:
    """Optuna's own lock would stand for half a minute."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom src.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False)
    code = code.partition("    os.kill")[0] + "    pass"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=True, timeout=10)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("postgresql+psycopg://nobody:secret@127.0.0.1:1/none", "connection"),
        ("sqlite:////nowhere/at/all/study.db", "unable to open database file"),
        ("nonsense://x", "nonsense"),
    ],
)
def test_an_unreachable_database_is_one_line_without_the_password(where: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        open_storage(where)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_one_line(database: str) -> None:
    with pytest.raises(UserError, match="cannot be used"):
        open_storage("postgresql+psycopg://nobody:secret@" + database.partition("@")[2])


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("not a database, but long enough to be read as one" * 20)
    with pytest.raises(UserError, match="file is not a database"):
        open_storage(f"sqlite:///{tmp_path}/study.db")


def test_only_the_end_of_a_trial_waits_for_the_disk(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened before is on the disk with it; a sync for each record would cost more than the trial."""
    study, synced = opened(), []
    monkeypatch.setattr(os, "fsync", synced.append)
    trial = ask(study)
    x = trial.suggest_float("x", 0, 1)
    assert synced == []
    study.tell(trial, "COMPLETE", [x], {"folder": "0"})
    assert len(synced) == 1
