"""What somebody else's folder or table tries is refused, or does no harm."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.commands import Call
from tests.faults.attacks import ATTACKS, SECRET, Scene, judged, made, prepared

# Those that need a process of their own, for what they would take of it, and slow ones: python -m tests.faults.attacks
SLOW = {"whoever listens", "a configuration of gibibytes", "a line of gibibytes", "a zip bomb"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("whole"))


def test_there_are_enough() -> None:
    assert len(ATTACKS) >= 40
    assert set(ATTACKS) > SLOW


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - SLOW))
@pytest.mark.filterwarnings("ignore")
def test_an_attack(name: str, whole: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    scene = prepared(name, whole, tmp_path)
    door = scene.argv[1].removeprefix("src.")
    answer = call(door, *scene.argv[2:])
    assert judged(scene, answer.code, answer.out, answer.err) in ("refused", "harmless")


def test_a_breach_would_be_seen(tmp_path: Path) -> None:
    """What the other tests rely on."""
    scene = Scene(tmp_path, tmp_path)
    assert judged(scene, 0, "fine", "") == "harmless"
    assert judged(scene, 2, "", "no\n") == "refused"
    assert judged(scene, 2, "", "").startswith("breached")
    assert judged(scene, 1, "", "Traceback (most recent call last):\nE: x").startswith("breached: E: x")
    assert judged(scene, 0, "\x1b]0;", "").startswith("breached: the terminal")
    (tmp_path / "x.yaml").write_text(f"password: {SECRET}")
    assert judged(scene, 0, "", "").startswith("breached: x.yaml holds a secret")
    (tmp_path / "x.yaml").unlink()
    (tmp_path / "out.csv").write_text("a,b\n1,=1+1\n")
    assert judged(scene, 0, "", "").startswith("breached: out.csv holds a formula")
    (tmp_path / "out.csv").unlink()
    scene.mark.touch()
    assert judged(scene, 0, "", "").startswith("breached: what lies outside")


def test_what_an_answer_holds(whole: Path, call: Call, tmp_path: Path) -> None:
    """Hostile words are all there, as words: nothing is lost."""
    prepared("names that a page or a terminal would obey", whole, tmp_path)
    answer = call("report", "sweep='sweep<b>'")
    assert answer.code == 0, answer
    page = (tmp_path / "sweep<b>" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert json.loads((tmp_path / "sweep<b>" / "sweep.json").read_text())["failures"]
    assert "\\x1b]0;owned" in answer.out


def test_nothing_listens_but_on_loopback(tmp_path: Path) -> None:
    """Of a run, an evaluation, a prediction and a report in this process; asked by Python's own audit."""
    import subprocess

    from tests.faults.attacks import _WATCHED

    listens = tmp_path / "listens"
    code = _WATCHED.replace('runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)', "")
    code += "import socket\nfor address in ('127.0.0.1', '0.0.0.0'):\n    socket.socket().bind((address, 0))\n"
    environment = os.environ | {"LISTENS": str(listens)}
    subprocess.run([sys.executable, "-c", code, "-m", "x"], check=True, env=environment, cwd=tmp_path)
    assert listens.read_text() == "('0.0.0.0', 0)\n", "the watch of tests.faults.attacks sees what it is for"
