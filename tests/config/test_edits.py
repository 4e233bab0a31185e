"""Single edits of a run's configuration and of its encoder's state: one line each, and never a traceback."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from src.data.encoder import Encoder
from src.errors import UserError
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call
from tests.compose import trained

ROWS = "a,b,c,d,y\n" + "".join(
    f"{i % 7},{'abc'[i % 3]},{'' if i % 5 else i / 2},2020-01-{i % 28 + 1:02},{i}\n" for i in range(40)
)
# Where in the configuration, what stands there, and words of the answer of evaluate.
EDITS: list[tuple[str, Any, str]] = [
    ("model", None, "model: expected its keys"),
    ("model", "mlp", "model: expected its keys"),
    ("model", {}, "model: expected a _target_"),
    ("model._target_", "src.models.nothing.Net", "model: _target_ src.models.nothing.Net cannot be imported"),
    ("model._target_", 3, "model: expected a _target_"),
    ("model.hidden", "x", "model.hidden must be a list of widths"),
    ("model.hidden", [64, -1], "model.hidden must be a list of widths"),
    ("model.hidden", [5], "does not fit the run's model"),
    ("model.hidden", [300000000], "of memory"),
    ("model.activation", "rleu", "did you mean 'relu'?"),
    ("model.activation", None, "model.activation"),
    ("model.dropout", 7, "model.dropout must be a number"),
    ("model.more", 1, "takes no 'more'"),
    ("model.standardize", None, ""),
    ("data", [], "data: expected its keys"),
    ("data", "x", "data: expected its keys"),
    ("data._target_", None, "data: expected a _target_"),
    ("data._target_", "builtins.open", "data: expected a function of src.data.sources"),
    ("data.path", 3, "data.path must be"),
    ("data.path", "nowhere.csv", "nowhere.csv: no such file"),
    ("data.path", "/dev/zero", "is no regular file"),
    ("data.target", "z", "no target column 'z'"),
    ("data.target", ["y", "y"], "data.target must be the name of one column, or a list of different ones"),
    ("data.target", ["y", "a"], "targets expected as in the run's configuration: 2, found 1"),
    ("data.val_fraction", 1.5, "data.val_fraction must be"),
    ("data.val_fraction", "x", "data.val_fraction must be"),
    ("data.features", {"a": 1}, "data.features must be a list"),
    ("data.delimiter", "::", "data.delimiter must be one character"),
    ("data.encoding", "klingon", "data.encoding=klingon is unknown"),
    ("data.missing", "x", "data.missing must be a list"),
    ("data.scaling", "x", "data.scaling must be one of"),
    ("data.more", 1, "unexpected keyword argument 'more'"),
    ("seed", "x", "seed must be a whole number"),
    ("seed", -1, "seed must be a whole number"),
    ("seed", "${oc.env:HOME}", "found the interpolation"),
    ("folds", 10**9, "folds must be a whole number"),
    ("trainer", "x", "trainer: expected its keys"),
    ("trainer.precision", "17", "trainer.precision must be one of"),
    ("trainer.precision", "64-true", "does not fit the run's model"),
]
Change = Callable[[dict[str, Any]], Any]
# Edits of the state, and the part that is named.
STATES: dict[str, tuple[Change, str]] = {
    "no parts": (lambda s: s.clear(), "its encoder"),
    "one part more": (lambda s: s.update(x=1), "its encoder"),
    "no columns": (lambda s: s.update(columns=[]), "columns"),
    "columns by name": (lambda s: s.update(columns={"a": 1}), "columns"),
    "a column that is a word": (lambda s: s["columns"].__setitem__(0, "a"), "columns.0"),
    "a column fewer": (lambda s: s["columns"].pop(), "numbers.shift"),
    "a column twice": (lambda s: s["columns"].append(s["columns"][0]), "columns"),
    "a name that is none": (lambda s: s["columns"][0].update(name=3), "columns.0.name"),
    "a kind that is none": (lambda s: s["columns"][0].update(kind="x"), "columns.0.kind"),
    "another kind": (lambda s: s["columns"][0].update(kind="category"), "numbers.shift"),
    "gaps that are no flag": (lambda s: s["columns"][0].update(gaps=1), "columns.0.gaps"),
    "other gaps": (lambda s: s["columns"][0].update(gaps=True), "numbers.gaps"),
    "a target's name that is none": (lambda s: s.update(target_name=None), "target_name"),
    "names of a target more": (lambda s: s.update(target_name=["y", "z"]), "target"),
    "numbers that are a list": (lambda s: s.update(numbers=[]), "numbers"),
    "an unknown scaling": (lambda s: s["numbers"].update(scaling="x"), "numbers.scaling"),
    "a shift of float32": (lambda s: s["numbers"].update(shift=s["numbers"]["shift"].float()), "numbers.shift"),
    "a shift too many": (lambda s: s["numbers"].update(shift=torch.zeros(99).double()), "numbers.shift"),
    "a shift that is a list": (lambda s: s["numbers"].update(shift=[0.0]), "numbers.shift"),
    "a shift that is NaN": (lambda s: s["numbers"]["shift"].fill_(torch.nan), "numbers.shift"),
    "a scale of 0": (lambda s: s["numbers"]["scale"].zero_(), "numbers.scale"),
    "a matrix of scales": (lambda s: s["numbers"].update(scale=s["numbers"]["scale"][None]), "numbers.scale"),
    "gaps out of reach": (lambda s: s["numbers"]["gaps"].fill_(999), "numbers.gaps"),
    "gaps below 0": (lambda s: s["numbers"]["gaps"].fill_(-1), "numbers.gaps"),
    "flags that are numbers": (
        lambda s: s["numbers"].update(flagged=s["numbers"]["flagged"].long()),
        "numbers.flagged",
    ),
    "knots of another scaling": (lambda s: s["numbers"].update(scaling="quantile"), "numbers.knots"),
    "no categories": (lambda s: s.update(categories=[]), "categories"),
    "values that are numbers": (lambda s: s["categories"][0].update(values=[1]), "categories.0.values"),
    "values twice": (lambda s: s["categories"][0].update(values=["a", "a"]), "categories.0.values"),
    "values without room": (lambda s: s["categories"][0].update(values=list("abcdefghij")), "categories.0.values"),
    "a billion columns": (lambda s: s["categories"][0].update(columns=10**9), "categories.0.columns"),
    "columns and entries": (lambda s: s["categories"][0].update(entries=5), "categories.0"),
    "another first": (lambda s: s["categories"][0].update(first=10**9), "categories.0.first"),
    "a target that is None": (lambda s: s.update(target=None), "target"),
    "an unknown target": (lambda s: s["target"].update(kind="x"), "target.kind"),
    "a target's scale of 0": (lambda s: s["target"].update(scale=0.0), "target.scale"),
    "a target's shift that is a word": (lambda s: s["target"].update(shift="0"), "target.shift"),
    "a power of NaN": (lambda s: s["target"].update(power=float("nan")), "target.power"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of numbers, words, gaps and dates."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "rows.csv").write_text(ROWS)
    csv = ("data=csv", f"data.path={folder / 'rows.csv'}", "data.target=y", "model.hidden=[4]")
    trained(folder / "run", *csv, "trainer.max_epochs=2", "logger=none")
    return folder / "run"


@pytest.mark.parametrize(("key", "value", "said"), EDITS, ids=[f"{key}={value}" for key, value, _ in EDITS])
def test_an_edit_of_the_configuration(
    key: str, value: Any, said: str, finished: Path, call: Call, tmp_path: Path
) -> None:
    """Where it makes no difference to the figures, there are figures, and a note that it was changed."""
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / ".hydra" / "config.yaml"
    cfg = yaml.safe_load(path.read_text())
    node, (*parts, last) = cfg, key.split(".")
    for part in parts:
        node = node[part]
    node[last] = value
    path.write_text(yaml.safe_dump(cfg))
    answer = call("evaluate", "run=run")
    if answer.code == 0:
        assert not said, answer
        assert "config.yaml is not as the run left it" in answer.err
    else:
        assert_refused(answer, said)


@pytest.mark.parametrize("edit", STATES)
def test_an_edit_of_the_encoder_s_state(edit: str, finished: Path) -> None:
    state = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)["DataModule"]
    Encoder.from_state_dict(copy.deepcopy(state))
    change, part = STATES[edit]
    change(state)
    with pytest.raises(UserError) as refused:
        Encoder.from_state_dict(state)
    assert str(refused.value).startswith(f"{part}: expected "), refused.value


def test_a_line_names_the_checkpoint(finished: Path, call: Call, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    state = torch.load(path, weights_only=True)
    state["DataModule"]["target"]["scale"] = 0.0
    torch.save(state, path)
    assert_refused(
        call("evaluate", "run=run"),
        "run/checkpoints/best.ckpt: does not hold the encoder of a run (target.scale: expected a number other than 0)",
    )
    for parts in ("x", {"net.weight": [1.0]}):
        torch.save(
            state
            | {"DataModule": torch.load(finished / "checkpoints" / "best.ckpt")["DataModule"], "state_dict": parts},
            path,
        )
        assert_refused(
            call("evaluate", "run=run"), "best.ckpt: does not fit the run's model (its weights are no tensors)"
        )


@pytest.mark.parametrize("value", ["???", None, [1]])
def test_a_step_that_is_no_number(value: Any, finished: Path, call: Call, tmp_path: Path) -> None:
    """A run that goes on from it starts nothing."""
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    torch.save(torch.load(path, weights_only=True) | {"global_step": value}, path)
    answer = call("train", "resume=run", "trainer.max_epochs=9", "hydra.run.dir=more")
    assert_refused(answer, "last.ckpt: is not a whole checkpoint")
    assert not (tmp_path / "more").exists()
