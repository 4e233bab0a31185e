"""Text that every reader of YAML reads as the container it was made of."""

from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from src.config.yaml_files import dump, load
from tests.compose import CONF, composed

VALUES = [
    0, -3, 10**20, 1.5, -0.0, 1e-05, -1e-05, 1e16, 1e300, 1.0, float("inf"), float("-inf"), True, False, None, "tanh",
    "on", "Off", "yes", "y", "null", "Null", "NULL", "~", "true", "TRUE", "", " ", " a", "a ", "nan", ".nan", ".inf",
    "inf", "1", "+1", "1_000", "0x1f", "0b1", "010", "0o17", "1:30", "1:30.5", "1.5", "1.", ".5", "1e5", "1E5",
    "1e-05", "+1e5", "1.5e5", "-.5e3", "1_0e5", "1_e5", "1._5e3", ".5e-3", "1e", "e5", "2020-01-01",
    "2020-01-01 10:00:00", "=", "<<", "-", "- a", "?", "? a", ":", "a: b", "a:", "# x", "a #b", "it's", '"', "'",
    "\\", "\\n", "ä ö", "\u2028", "\x07", "\U0001f600", "two\nlines", "\nfirst", "last\n", "  indented\n  lines\n",
    "tab\there", "${a}", "${oc.env:HOME}", "${a}/${b}", "???", "%a", "@a", "`a", "!a", "&a", "*a", "|", ">", "[1,2]",
    "{a: b}", "{", "]", ",", "a,b", "/tmp/a b", "---", "...", "long " * 100, "x" * 3000, [1, 2.5, "on"], [], {}, [[]],
    [{}], [[1, [2, ["1e5"]]], {"a": [{"b": None}]}], {"on": 1, "1e5": 2, "": 3, "2": 4},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_every_reader_gives_the_container_back(value: Any) -> None:
    container = {"z": value, "a": {"b": [value, {"c": value}]}, "last": value}
    text = dump(container)
    for read in (yaml.safe_load, lambda text: OmegaConf.to_container(OmegaConf.create(text))):
        found = read(text)
        assert _typed(found) == _typed(container), f"read from {text!r}"


def test_keys_keep_their_order_and_shared_parts_are_written_out() -> None:
    shared = [1, 2]
    assert dump({"b": shared, "a": shared}) == "b:\n- 1\n- 2\na:\n- 1\n- 2\n"


def test_tuples_and_enums_are_written_as_omegaconf_does() -> None:
    mode = Enum("Mode", ["RUN"])
    assert dump({"betas": (0.9, 0.99), "mode": mode.RUN}) == "betas:\n- 0.9\n- 0.99\nmode: RUN\n"


def test_other_values_are_refused() -> None:
    with pytest.raises(yaml.representer.RepresenterError, match="object"):
        dump({"a": object()})


def test_a_run_s_files_are_those_of_omegaconf() -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF)):
        whole = compose("train", ["model=mlp", "optimizer.lr=1e-05"], return_hydra_config=True)
    for config in (composed("model=mlp", "optimizer.lr=1e-05"), OmegaConf.masked_copy(whole, "hydra")):
        container: Any = OmegaConf.to_container(config, enum_to_str=True)
        text = dump(container)
        assert yaml.safe_load(text) == container
        assert OmegaConf.to_container(OmegaConf.create(text)) == container


TEXTS = [
    "a: 1\nb: [1.5, 1e5, 1e-05, .inf, 0x10, 010, 1_000, 1:30, yes, off, null, ~, '', 2020-01-01]\n",
    "a: &x {b: 1}\nc: *x\n1: one\n2.5: two\ntrue: three\n",
    "a: ${b.c}\nb: '${oc.env:HOME}'\n? a.b\n: x\n",
    "{}",
    "",
    "# nothing\n",
    "a: !!binary aGFsbG8=\nb: |\n  lines\n  of text\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_is_read_as_omegaconf_reads_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    assert _typed(load(path)) == _typed(OmegaConf.to_container(OmegaConf.load(path), resolve=False))


@pytest.mark.parametrize(
    "text",
    [
        "a: !!set {b, c}\n",
        "[1, 2]: 3\n",
        "null: 1\n",
        "a word",
        "a: !!python/object/apply:os.getcwd []\n",
        "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefgh")),
        "a: &a [*a]\n",
        "a: 1\na: 2\n",
        "a: " + "[" * 60 + "]" * 60,
    ],
)
def test_what_omegaconf_has_no_node_for_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises((ValueError, yaml.YAMLError)):
        load(path)


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _typed(inner)) for key, inner in value.items()]
    return [_typed(item) for item in value] if isinstance(value, list) else (type(value), repr(value))
