"""Every function and class that is at hand, as the ``_target_`` of every group: nothing but the listed kinds is built.

What is asked is Hydra at the moment it would call a target, not our list: its answer is held against a second, simpler
statement of what may be built.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hydra._internal.instantiate import _instantiate2
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from src.config import build
from src.config.kinds import KINDS, check_folder, check_kind
from src.data.table import Table
from src.errors import UserError

SUSPECTS = "subprocess os shutil pickle importlib builtins pathlib socket urllib.request ctypes code runpy webbrowser"
SUSPECTS += " tempfile multiprocessing.pool zipfile tarfile smtplib pty ftplib http.client http.server asyncio sys io"
SUSPECTS += " functools operator types inspect gc signal threading concurrent.futures sqlite3 marshal shelve timeit"
ROOTS = ("src", "lightning", "torch", "hydra", "logging", "omegaconf", "yaml", "numpy", "pandas")

BASES: dict[str, Any] = {
    "model": torch.nn.Module,
    "loss": torch.nn.Module,
    "optimizer": torch.optim.Optimizer,
    "scheduler": torch.optim.lr_scheduler.LRScheduler,
    "callbacks": Callback,
    "logger": Logger,
    "data": Table,
}
# Modules from which a folder may have something built.
HOMES = {
    "model": ("torch.nn.modules", "src.models"),
    "loss": ("src.training.quantile", "torch.nn.modules"),
    "optimizer": ("torch.optim",),
    "scheduler": ("torch.optim.lr_scheduler", "src.training.coslog4"),
    "callbacks": ("src.training", "lightning.pytorch.callbacks.early_stopping"),
    "logger": ("src.training.tensorboard",),
    "data": ("src.data.sources",),
}
SOUND = {
    "model": {"_target_": "torch.nn.Sequential"},
    "loss": {"_target_": "torch.nn.MSELoss"},
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True},
    "scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True},
    "callbacks": {"_target_": "src.training.progress.Progress"},
    "logger": {"_target_": "src.training.tensorboard.TensorBoard"},
    "data": {"_target_": "src.data.sources.cars"},
}


def targets(share: int) -> set[str]:
    """Dotted names of callables: all of ours and of the suspects', every ``share``-th of the large libraries'.

    Each by the name of the module where it was made, and by that of another which imported it.
    """
    for name in [*SUSPECTS.split(), "lightning.pytorch", "src.runs.fit", "src.sweeping.sweep", "src.stacks.launch"]:
        importlib.import_module(name)
    suspects = {name.partition(".")[0] for name in SUSPECTS.split()}
    found: dict[int, list[str]] = {}
    for name, module in sorted(sys.modules.items()):
        if module is None or name.partition(".")[0] not in suspects.union(ROOTS):
            continue
        for attribute, value in list(vars(module).items()):
            if callable(value):
                found.setdefault(id(value), [f"{value.__module__}.{value.__qualname__}"] if _named(value) else [])
                found[id(value)].append(f"{name}.{attribute}")
                if inspect.isclass(value):
                    more = ("__init__", "__call__", "load_from_checkpoint", "from_pretrained", "from_float")
                    found[id(value)] += [f"{name}.{attribute}.{inner}" for inner in more if inner in vars(value)]
    names = [name for names in found.values() for name in (*names[:2], *names[-1:])]
    large = [name for name in names if name.partition(".")[0] in ROOTS[2:] and not name.startswith("logging")]
    return {*names} - {*large} | {*large[::share]} | {node["_target_"] for node in SOUND.values()}


def _named(value: Any) -> bool:
    return isinstance(getattr(value, "__module__", None), str) and isinstance(getattr(value, "__qualname__", None), str)


def may_be_built(group: str, target: Any, foreign: bool) -> bool:
    """The second statement: a class of the group's kind, or our own function that returns one."""
    base = BASES[group]
    if inspect.isclass(target):
        fits = group != "data" and issubclass(target, base)
    else:
        room = {"model": "src.models", "data": "src.data.sources"}.get(group, "nowhere")
        returned = getattr(target, "__annotations__", {}).get("return")
        fits = inspect.isfunction(target) and target.__module__.startswith(room)
        fits = fits and inspect.isclass(returned) and issubclass(returned, base)
    return fits and (not foreign or any(_inside(target.__module__, home) for home in HOMES[group]))


def _inside(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


def nodes(group: str, name: str) -> Iterator[dict[str, Any]]:
    """A target where a class stands, within its arguments, and in the ways that Hydra has to call one later."""
    yield {"_target_": name, "_partial_": True} if group in ("optimizer", "scheduler") else {"_target_": name}
    yield SOUND[group] | {"argument": {"_target_": name}}
    yield SOUND[group] | {"_args_": [{"_target_": name}]}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Hydra is about to call; it calls nothing."""
    found: list[Any] = []
    monkeypatch.setattr(_instantiate2, "_call_target", lambda target, *_: found.append(target))
    monkeypatch.setattr(build, "check_arguments", lambda *_: None)  # here no argument is of interest
    return found


@pytest.mark.filterwarnings("ignore")
def test_nothing_but_the_listed_kinds_is_built(called: list[Any]) -> None:
    """``PLUMBLINE_TARGETS_SHARE=1`` takes every name of the large libraries, not every tenth."""
    known = targets(int(os.environ.get("PLUMBLINE_TARGETS_SHARE", "10")))
    assert len(known) > 4000
    built = {(group, foreign): 0 for group in KINDS for foreign in (False, True)}
    for group in KINDS:
        key = f"{group}.x" if group in ("callbacks", "logger") else group
        for name in known:
            for node in nodes(group, name):
                for foreign in (True, False):
                    try:
                        if foreign:
                            check_kind(node, key, foreign=True)  # which asks quickly; the rest is for what passed
                            check_folder(
                                OmegaConf.create({group: {"x": node}} if "." in key else {group: node}), [group]
                            )
                        build.construct(node, key)
                    except UserError:
                        assert not called, f"{name} was called for {key}, and refused afterwards"
                        continue
                    assert called, f"{name} was neither refused nor called"
                    for target in called:
                        assert may_be_built(group, target, foreign), f"{key}: {name} would be built, foreign={foreign}"
                    built[group, foreign] += 1
                    called.clear()
    assert all(built.values()), f"the test never comes to Hydra: {built}"
    assert built["model", True] < built["model", False]


@pytest.mark.parametrize(
    "extra",
    [
        {"_convert_": "object"},
        {"_recursive_": False},
        {"_execution_whitelist_": ["*"]},
        {"_isolate_": False},
        {"_args_": "${oc.env:HOME}"},
        {"_args_": [["${oc.decode:1}"]]},
        {"a": "${hydra:runtime.cwd}"},
        {"a": {"b": ["${oc.create:{_target_: os.system}}"]}},
        {"a": {"_target_": "${oc.env:HOME}"}},
        {"_target_": {"_target_": "os.system"}},
        {"_target_": ["os.system"]},
        {"_target_": "torch.nn.Linear.__init__"},
        {"_target_": "torch.nn.modules.linear.torch.nn.Linear"},
        {"_target_": "torch.nn.Linear\n"},
        {"_target_": "torch.nn.Ｌinear"},
        {"_target_": ".torch.nn.Linear"},
        {"_target_": "torch..nn.Linear"},
    ],
)
@pytest.mark.parametrize("group", KINDS)
def test_what_hydra_would_read_in_a_node(
    group: str, extra: dict[str, Any], called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused for a folder as it stands there, before a resolver has read anything."""
    read: list[str] = []
    monkeypatch.setattr("os.environ.get", lambda *name: read.append(str(name)))
    node = SOUND[group] | extra
    values = {group: {"x": node}} if group in ("callbacks", "logger") else {group: node}
    with pytest.raises(UserError) as refused:
        check_folder(OmegaConf.create(values), [group])
    assert "\n" not in str(refused.value)
    assert not called
    assert not [name for name in read if "HOME" in name]
