"""What does not fit into memory is refused before it is allocated."""

import tracemalloc
from pathlib import Path

import pytest
import torch

from src.adapters import memory
from src.config import build
from src.config.resolvers import _repeat
from src.config.size import check_size
from src.data.encoder import Shape
from src.data.form import Form, files, lines
from src.errors import UserError
from tests.compose import composed


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=mlp", "model.hidden=[300000000]"),
        ("model=mlp", "model.hidden=[200000,200000]"),
        ("model._target_=torch.nn.Linear", "~model.init", "+model.in_features=1000000", "+model.out_features=1000000"),
        ("model=resnet", "model.blocks=1000000000"),
        (
            *("model._target_=torch.nn.Sequential", "~model.init"),
            "+model._args_=[{_target_:torch.nn.LSTM,input_size:1,hidden_size:1,num_layers:1000000000}]",
        ),
        (
            *("model._target_=torch.nn.Sequential", "~model.init"),
            "+model._args_=[{_target_:torch.nn.Linear,in_features:1000000,out_features:1000000},"
            "{_target_:torch.nn.Linear,in_features:1,out_features:x}]",
        ),
    ],
)
def test_a_net_that_is_too_large(overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of too many layers, each of which is small, and one that fails after it has allocated.

    Nothing of it is left to be cached as fitting.
    """
    monkeypatch.setattr("src.config.size._CALLS", 2000)  # of torch: as good as the thousands that it takes
    for _ in range(2):
        with pytest.raises(UserError, match=r"^model: (a net such as|has more layers)"):
            build.net(composed(*overrides), Shape(1))


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights by their copies, and 256 rows of what the layers give; once."""
    asked: list[int] = []
    monkeypatch.setattr("src.config.size.check_room", lambda needed, what: asked.append(needed))
    monkeypatch.setattr("src.config.size._FITTING", set())
    linear = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 5}
    for _ in range(2):
        check_size(linear, "", 3, 3, 6, lambda: torch.nn.Linear(3, 5))
    assert asked == [4 * (6 * (3 * 5 + 5) + 256 * 5)]


def test_building_in_earnest_is_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring draws no random number."""
    cfg = composed("model=mlp")
    before = build.net(cfg, Shape(4)).state_dict()
    monkeypatch.setattr("src.config.size._SMALL", 0)
    after = build.net(cfg, Shape(4)).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_rows_that_are_too_many() -> None:
    with pytest.raises(UserError, match=r"data\.n_samples=1000000000000 of data\.n_features=1 needs"):
        build.table(composed("data=synthetic", "data.n_samples=1000000000000"))
    with pytest.raises(ValueError, match="at most"):
        _repeat(64, 10**9)


def test_a_container_s_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    free = memory.available()
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() == pytest.approx(free, rel=0.2)
    (tmp_path / "memory.max").write_text("5096\n")
    assert memory.available() == 4096
    with pytest.raises(UserError, match="that needs"):
        memory.check_room(5000, "that")


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the line nor the file is read to its end."""
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"a,b")
        file.truncate(1 << 32)  # zeros that take no room
    monkeypatch.setattr("src.data.form._LINE", 1 << 20)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a\.csv: is not a CSV table"):
        list(lines(path, Form(",", encoding="utf-8")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 25


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "pipe"])
def test_what_is_no_regular_file(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(UserError, match="no regular file"):
        files(path)


@pytest.mark.parametrize("path", ["n" * 300, "a\0b", "[" * 50])
def test_names_that_none_has(path: str) -> None:
    with pytest.raises(UserError):
        files(path)
