"""The commands of the README, as they stand there but for fewer epochs and trials."""

import re
import shlex
from pathlib import Path

import pytest

from tests.commands import Call

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SHORT = {
    "train": ("trainer.max_epochs=2",),
    "resume": ("trainer.max_epochs=4",),
    "sweep": ("hydra.sweeper.n_trials=2",),
    "thousand": ("seed=range(5)",),
}


def commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [line.partition("&& ")[2] if "&& " in line else line for line in lines]
    return [line for line in found if line.startswith("python -m src.")]


def test_the_readme_has_its_two_commands_and_each_door() -> None:
    assert "python -m pip install -c constraints.txt -e . && python -m src.train" in README
    assert "python -m pip install -c constraints.txt -e '.[test]' && python -m pytest -n 2" in README
    doors = {command.split()[2] for command in commands()}
    assert doors == {"src.train", "src.evaluate", "src.predict", "src.report", "src.runs", "src.export"}


@pytest.mark.parametrize("command", commands())
def test_command_of_the_readme(call: Call, tmp_path: Path, command: str) -> None:
    rows = "".join(f"{i * 0.1},{i % 3}\n" for i in range(20))
    (tmp_path / "FILE.csv").write_text("x,COLUMN\n" + rows)
    (tmp_path / "new_cars.csv").write_text("wt\n2.5\n3.1\n")
    (tmp_path / "NEW.csv").write_text("x\n0.5\n")
    if "NEW.csv" in command:
        table = ("data=csv", "data.path=FILE.csv", "data.target=COLUMN", "folds=5", "trainer.max_epochs=2")
        assert call("train", *table).code == 0
    elif "TIME-NAME" in command or "=last" in command or "src.runs" in command or command.endswith("report"):
        assert call("train", "trainer.max_epochs=2", "hydra.run.dir=outputs/train/DATE/TIME-NAME").code == 0
    door, *arguments = shlex.split(command.removeprefix("python -m src."))
    if door == "report":
        sweep = ("-m", "optimizer.lr=0.1,0.2", "trainer.max_epochs=2", "hydra.sweep.dir=outputs/sweeps/mlp-cars")
        assert call("train", *sweep).code == 0
    if door == "train":
        arguments = [
            argument for argument in arguments if not re.match(r"(trainer.max_epochs|seed|.*n_trials)=", argument)
        ]
        arguments += SHORT["resume" if "resume" in command else "train"]
        arguments += SHORT["sweep"] if "sweep=" in command and "seeds" not in command else ()
        arguments += SHORT["thousand"] if "range(1000)" in command else ()
    answer = call(door, *arguments)
    assert answer.code == 0, answer.err
    assert answer.out.strip()
