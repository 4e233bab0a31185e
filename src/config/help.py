"""``--help`` of each command, for people: made from conf/ as text, so that it needs neither Hydra nor torch."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size

CONF = Path(__file__).parents[2] / "conf"

# By command: what it does, commands to copy, and where its output goes.
_COMMANDS = {
    "train": (
        "Trains on a table, once or for every value of a sweep.",
        """\
        python -m src.train
        python -m src.train model=mlp optimizer.lr=0.02
        python -m src.train data=csv data.path=FILE.csv data.target=COLUMN folds=5
        python -m src.train -m sweep=mlp
        python -m src.train resume=last trainer.max_epochs=2000""",
        "Goes to outputs/train/DATE/TIME-NAME or hydra.run.dir=DIR; a sweep to outputs/sweeps.",
    ),
    "evaluate": (
        "Computes a run's own figures again, from its checkpoint.",
        """\
        python -m src.evaluate run=last
        python -m src.evaluate run=best
        python -m src.evaluate run=outputs/train/DATE/TIME-NAME
        python -m src.evaluate run=outputs/train/DATE/TIME-NAME checkpoint=last
        python -m src.evaluate run=outputs/sweeps/mlp-cars/7/checkpoints/last.ckpt""",
        "Nothing is written.",
    ),
    "predict": (
        "Predicts the target for every row of a file.",
        """\
        python -m src.predict run=last input=FILE.csv
        python -m src.predict run=best input=FILE.csv
        python -m src.predict run=outputs/train/DATE/TIME-NAME input=FILE.csv
        python -m src.predict run=last input=FILE.csv output=PREDICTIONS.csv
        python -m src.predict run=last input=FILE.csv interval=0.9""",
        "Predictions go to predictions/ inside the run's folder, or to output=FILE.",
    ),
    "export": (
        "Writes a run as a file that predicts by itself.",
        """\
        python -m src.export run=last
        python -m src.export run=best output=DIR
        python -m src.export run=outputs/train/DATE/TIME-NAME format=all
        python -m src.export run=last output=FILE.onnx interval=0.9
        python -m src.export run=last rows=FILE.csv""",
        "model.onnx, model.pt2 and MODEL_CARD.md go to export/ inside the run's folder, or to output=DIR.",
    ),
    "report": (
        "Makes a page of a run, of several, or of a sweep.",
        """\
        python -m src.report
        python -m src.report run=outputs/train/DATE/TIME-NAME
        python -m src.report runs=[DIR,DIR]
        python -m src.report sweep=outputs/sweeps/mlp-cars
        python -m src.report sweep=SOMEBODYS/multirun/DATE/TIME""",
        "report.html goes to the run's folder, or with leaderboard.csv to the sweep's.",
    ),
    "runs": (
        "Lists runs and sweeps, compares two, removes failed ones.",
        """\
        python -m src.runs
        python -m src.runs model=mlp status=completed sort=objective limit=5
        python -m src.runs folder=outputs/sweeps/mlp-cars
        python -m src.runs diff=[outputs/train/DATE/TIME-NAME,last]
        python -m src.runs clean=failed""",
        "Nothing is written.",
    ),
}


def is_asked(arguments: list[str]) -> bool:
    """Whether a command line asks for help, and not for Hydra's own (``--hydra-help``)."""
    return "--help" in arguments or "-h" in arguments


def help_of(command: str, arguments: Sequence[str] = ()) -> str:
    """The help of train, evaluate, predict, export, report or runs.

    Args:
        command: its name.
        arguments: of the command line; the keys are those of the options that it chooses.
    """
    what, examples, output = _COMMANDS[command]
    [root] = CONF.rglob(f"{command}.yaml")
    groups = {group: chosen for group, chosen in _defaults(root) if (CONF / group).is_dir()}
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument and groups)
    groups |= {group: option for group, option in given.items() if (CONF / group / f"{option}.yaml").is_file()}
    parts = [
        f"python -m src.{command}: {what[0].lower()}{what[1:]}",
        "Examples:\n" + textwrap.indent(textwrap.dedent(examples), "  "),
    ]
    if groups:
        lines = (_line(f"{group}={name}", said) for group in groups for name, said in _options(CONF / group))
        parts.append("Groups (GROUP=OPTION; conf/GROUP/OPTION.yaml has all its keys):\n" + "\n".join(lines))
    keys = list(_keys(root, ""))
    for group, chosen in groups.items():
        keys += [pair for file in _files(CONF / group, chosen) for pair in _keys(file, f"{group}.")]
    parts.append("Main keys and their defaults (KEY=VALUE):\n" + "\n".join(_line(*pair) for pair in keys))
    parts.append(
        f"{textwrap.fill(output, 80)}\n--cfg job shows every key with its value, --hydra-help what Hydra takes."
    )
    return "\n\n".join(parts)


def _line(name: str, said: str) -> str:
    width = max(60, min(get_terminal_size().columns, 120))
    return textwrap.fill(f"  {name:<29} {said}", width, subsequent_indent=" " * 32, break_on_hyphens=False)


def _defaults(file: Path) -> Iterator[tuple[str, str]]:
    """The groups that a file's defaults name, each with the option that it names."""
    return (
        pair for pair in re.findall(r"^  - (\w+): (\w+)(?:  #.*)?$", file.read_text(encoding="utf-8"), re.MULTILINE)
    )


def _options(group: Path) -> Iterator[tuple[str, str]]:
    """A group's options, each with the sentence that its file begins with; base.yaml is none, others stand on it."""
    for file in sorted(group.glob("*.yaml")):
        if file.stem != "base":
            said = re.match(r"(?:# @package.*\n)?((?:# .*\n)*)", file.read_text(encoding="utf-8"))
            words = said[1].replace("# ", "").replace("\n", " ") if said else ""
            yield file.stem, re.split(r"(?<=[.;])(?<!et al\.) ", words.strip())[0].rstrip(";")


def _files(group: Path, option: str) -> Iterator[Path]:
    """An option's file, after those in its group that it stands on."""
    file = group / f"{option}.yaml"
    if file.is_file():
        for base in re.findall(r"^  - (\w+)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            if base != "_self_":
                yield from _files(group, base)
        yield file


def _keys(file: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """KEY=DEFAULT and comment of each line that has a comment: what needs no word is not a main key."""
    parents: list[tuple[int, str]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r'( *)"?(\w+)"?:(?: ([^#]*?))?(?:  # (.*))?', line):
            indent, key, value, said = len(found[1]), found[2], found[3] or "", found[4]
            parents = [each for each in parents if each[0] < indent]
            name = prefix + ".".join([*(each[1] for each in parents), key])
            parents.append((indent, key))
            if said and not name.startswith("hydra"):
                yield (name if "${" in value else f"{name}={value}"), said
