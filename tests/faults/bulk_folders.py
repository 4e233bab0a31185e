"""Run folders with something wrong in them: values, parts, files and what stands in their place."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

VALUES: list[Any] = [None, True, False, 0, -1, 1, 7, 0.5, -2.5, 1e308, float("nan"), float("inf"), 10**12, 2**70]
VALUES += ["", "x", "auto", "../..", "/dev/zero", "\x1b[31m", "<script>", "${oc.env:HOME}", "${seed}", "???", "a\nb"]
VALUES += [[], [1], ["a", 2], [[1]], {}, {"a": 1}, {"_target_": "os.system"}, {"_target_": None}, "torch.nn.Linear"]


def broken(run: Path, draw: random.Random) -> str:
    """Breaks a folder in one to three places, and says which."""
    ways = (_edit_yaml, _edit_yaml, _edit_yaml, _edit_state, _edit_state, _edit_json, _bytes, _in_its_place, _lines)
    return "; ".join(draw.choice(ways)(run, draw) for _ in range(draw.choice((1, 1, 2, 3))))


def _files(run: Path, end: str) -> list[Path]:
    return sorted(path for path in run.rglob(f"*{end}") if path.is_file() and not path.is_symlink())


def _node(value: Any, draw: random.Random) -> tuple[Any, Any, str]:
    """A container within, one of its keys, and where that is in words."""
    path = []
    while True:
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        path.append(str(key))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.15:
            return value, key, ".".join(path)
        value = inner


def _change(content: Any, draw: random.Random) -> str:
    holder, key, where = _node(content, draw)
    way = draw.random()
    if way < 0.2:
        del holder[key]
        return f"{where} removed"
    if way < 0.3 and isinstance(holder, dict):
        holder[draw.choice(["x", "_target_", "_args_", "_partial_", "_convert_"])] = draw.choice(VALUES)
        return f"beside {where} another"
    holder[key] = draw.choice(VALUES)
    return f"{where}={holder[key]!r}"


def _edit_yaml(run: Path, draw: random.Random) -> str:
    if not (paths := _files(run, ".yaml")):
        return "nothing"
    path = draw.choice([*paths, *(p for p in paths if p.name == "config.yaml")])
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        return "nothing"
    if not isinstance(content, dict | list) or not content:
        return "nothing"
    said = _change(content, draw)
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return f"{path.name}: {said}"


def _edit_json(run: Path, draw: random.Random) -> str:
    if not (paths := [*_files(run, "summary.json"), *_files(run, "sweep.json")]):
        return "nothing"
    path = draw.choice(paths)
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return "nothing"
    if not isinstance(content, dict) or not content:
        return "nothing"
    if draw.random() < 0.8:
        content.pop("checksums", None)  # as an older run has it, or somebody's own
    said = _change(content, draw) if content else "empty"
    path.write_text(json.dumps(content))
    return f"{path.name}: {said}"


def _edit_state(run: Path, draw: random.Random) -> str:
    if not (paths := _files(run, ".ckpt")):
        return "nothing"
    path = draw.choice(paths)
    try:
        state = torch.load(path, weights_only=True)
    except Exception:
        return "nothing"
    part = draw.choice(["DataModule", "DataModule", "state_dict", *state])
    if part not in state:
        return "nothing"
    holder = state[part] if isinstance(state[part], dict) and state[part] and draw.random() < 0.9 else state
    holder, key, where = _node(holder, draw)
    tensor = holder[key]
    if isinstance(tensor, torch.Tensor) and draw.random() < 0.7:
        ways = (
            lambda t: t[None],
            lambda t: t.double(),
            lambda t: t.to(torch.int8),
            lambda t: t.new_full(t.shape, 1e30),
        )
        holder[key] = draw.choice((*ways, lambda t: t.flatten()[:0], lambda t: torch.zeros(1).expand(10**9)))(tensor)
    else:
        holder[key] = draw.choice([*VALUES, torch.zeros(3), torch.zeros(0)])
    torch.save(state, path)
    return f"{path.name}: {part}: {where} is a {type(holder[key]).__name__} {str(holder[key])[:40]!r}"


def _bytes(run: Path, draw: random.Random) -> str:
    path = draw.choice(_files(run, ""))
    content = path.read_bytes()
    if not content:
        return "nothing"
    place = draw.randrange(len(content))
    path.write_bytes(draw.choice([content[:place], content[:place] + draw.randbytes(3) + content[place + 3 :], b""]))
    return f"{path.name}: bytes at {place}"


def _lines(run: Path, draw: random.Random) -> str:
    """A table of numbers with other cells."""
    if not (paths := _files(run, ".csv")):
        return "nothing"
    path = draw.choice(paths)
    lines = path.read_text(errors="replace").splitlines() or [""]
    place = draw.randrange(len(lines))
    lines[place] = draw.choice(["", "x", "1", ",,,,", '"', lines[place] + ",1", "nan," * 3])
    path.write_text("\n".join(lines))
    return f"{path.name}: line {place + 1} is {lines[place]!r}"


def _in_its_place(run: Path, draw: random.Random) -> str:
    """Something else where a file or a folder was: nothing, a folder, a pipe, a link."""
    path = draw.choice([path for path in sorted(run.rglob("*")) if not path.is_symlink()])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    way = draw.choice(["nothing", "folder", "file", "pipe", "link", "loop", "device"])
    if way == "folder":
        path.mkdir()
    elif way == "file":
        path.write_text("")
    elif way == "pipe":
        os.mkfifo(path)
    elif way != "nothing":
        path.symlink_to({"link": "/etc/hostname", "loop": path.name, "device": "/dev/zero"}[way])
    return f"{path.name}: {way}"
