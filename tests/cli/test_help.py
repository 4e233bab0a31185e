"""--help, for people: what there is, in 80 columns, without Hydra."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.config.help import help_of
from tests.commands import Call

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export", "report", "runs"])
def test_every_command_says_what_it_is_for(command: str, call: Call) -> None:
    """What it does, five commands to copy, and no line wider than a terminal."""
    answer = call(command, "--help")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"python -m src.{command}: ")
    assert sum(line.startswith(f"  python -m src.{command}") for line in lines) == 5
    assert max(map(len, lines)) <= 80


def test_every_option_has_a_sentence() -> None:
    """Each group of train is there with each of its options, and no other command's."""
    lines = " ".join(help_of("train").partition("Groups")[2].split())
    for file in CONF.glob("*/*.yaml"):
        option = f"{file.parent.name}={file.stem}"
        said = lines.partition(f" {option} ")[2].split()
        if file.stem == "base" or file.parent.name == "report":
            assert not said, option
        else:
            assert said, option
            assert "=" not in said[0], option
            assert "(Gorishniy et al. model" not in lines, "a sentence does not end with an abbreviation"
    assert "report=" not in lines
    assert "optimizer=" not in help_of("evaluate")


def test_keys_are_those_of_the_options_that_are_chosen() -> None:
    """KEY=DEFAULT, as conf/ has it."""
    assert "optimizer.lr=0.02 " in help_of("train")
    assert "model.activation=relu" not in help_of("train")
    assert "model.activation=relu" in help_of("train", ["model=mlp", "--help"])
    assert "callbacks.early_stopping.stopping_threshold=null" in help_of("train", ["callbacks=early_stopping"]).split()
    assert "callbacks.checkpoints.every_n_seconds=60" in help_of("train", ["callbacks=early_stopping"]).split()


def test_help_needs_no_library() -> None:
    """Neither Hydra nor torch is imported for the text."""
    program = "from src.config.help import help_of; help_of('train'); print({'hydra', 'torch'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", f"import sys; {program}"], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
