"""Single edits of run folders: each value of a configuration, a summary or a checkpoint once other, or gone.

python -m tests.faults.edits                 all of them, some 11,000, in half an hour
python -m tests.faults.edits --every 20      each twentieth

Each is answered by success, a diverged run, or one or two lines and exit code 2, and leaves nothing behind. The bulk
of ``tests.faults.bulk`` breaks several places at once, but in a lifetime not every one.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.faults.bulk import answered, diverged, whole_folders

GONE = object()
VALUES = [GONE, None, "x", -1, 0.5, True, [], {}, {"a": 1}]
TENSORS = [float("nan"), torch.zeros(0), torch.zeros(7, 5)]

Form = tuple[Callable[[Path], Any], Callable[[Any, Path], Any], list[Any]]
FORMS: dict[str, Form] = {
    ".yaml": (
        lambda path: yaml.safe_load(path.read_text()),
        lambda content, path: path.write_text(yaml.safe_dump(content)),
        VALUES,
    ),
    ".json": (
        lambda path: {k: v for k, v in json.loads(path.read_text()).items() if k != "checksums"},
        lambda content, path: path.write_text(json.dumps(content)),
        VALUES,
    ),
    ".ckpt": (lambda path: torch.load(path, weights_only=True), torch.save, [*VALUES, *TENSORS]),
}
FILES = (".hydra/config.yaml", ".hydra/hydra.yaml", "summary.json", "checkpoints/last.ckpt")
# A scheduler, a stop reason and an optimizer that keeps something, for there is more to break.
RICH = ("model=mlp", "model.hidden=[3]", "optimizer=adam", "scheduler=plateau", "callbacks=early_stopping")
RESUME = ("train", "resume=run", "trainer.max_epochs=4", "hydra.run.dir=more", "figures=false")


def places(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in nested containers."""
    for key in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        yield (*before, key)
        yield from places(content[key], (*before, key))


def edited(path: Path, place: tuple[Any, ...], value: Any) -> None:
    """Puts a value at a place of a file."""
    load, save, _ = FORMS[path.suffix]
    content = holder = load(path)
    for key in place[:-1]:
        holder = holder[key]
    if value is GONE:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    save(content, path)


def edits(whole: Path) -> Iterator[tuple[str, str, tuple[Any, ...], Any]]:
    """Each run, file, place and value; of Hydra's own settings only what a run folder is read by."""
    for kind, file in product(("rich", "mixed", "folds", "study"), FILES):
        path = whole / kind / ("0" if kind == "study" else "") / file
        if not path.is_file() or (kind == "study" and file != "summary.json"):
            continue
        load, _, values = FORMS[path.suffix]
        for place in places(load(path)):
            if file != ".hydra/hydra.yaml" or place[:2] in (("hydra",), ("hydra", "runtime"), ("hydra", "job")):
                yield from ((kind, file, place, value) for value in values)


def tried(whole: Path, kind: str, file: str, place: tuple[Any, ...], value: Any) -> Iterator[tuple[str, str]]:
    """How each command that reads such a folder ended, and what is wrong with that; "" where nothing is."""
    doors = (("report", "sweep=run"), ("runs", "folder=.")) if kind == "study" else (("evaluate", "run=run"), RESUME)
    for door in doors if file != "checkpoints/last.ckpt" else (RESUME,):
        scratch = Path(tempfile.mkdtemp())
        os.chdir(scratch)
        try:
            shutil.copytree(whole / kind, "run")
            Path("run/checkpoints/previous.ckpt").unlink(missing_ok=True)
            edited(Path("run", "0" if kind == "study" else "", file), place, value)
            ending, complaint = answered(*door)
            if diverged(scratch / "more"):
                ending, complaint = "diverged", ""
            elif ending == "refused" and Path("more").exists():
                ending, complaint = "left", "left the folder of a refused run"
        finally:
            os.chdir(whole)
            shutil.rmtree(scratch)
        yield ending, complaint and f"{complaint} by {door[0]}"


def main() -> None:
    """Reads the command line."""
    from tests.compose import trained

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    endings: Counter[str] = Counter()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = whole_folders(Path(folder))
        trained(whole / "rich", *RICH, "data.val_fraction=0.2", "logger=none", "trainer.max_epochs=3")
        for edit in islice(edits(whole), options.first, None, options.every):
            for ending, complaint in tried(whole, *edit):
                endings[ending] += 1
                if complaint:
                    bad += 1
                    print(*edit[:2], ".".join(map(str, edit[2])), str(edit[3])[:40], complaint[:200], flush=True)
    print(f"edits: {endings.total()}: {', '.join(f'{number} {ending}' for ending, number in endings.most_common())}")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
