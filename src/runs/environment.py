"""What a run ran on: versions, device, threads and the state of the code."""

import platform
import re
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("hydra", "torch", "lightning", "optuna", "numpy", "pyarrow", "scikit-learn")


def environment(device: str, threads: int) -> dict[str, Any]:
    """Plain values for summary.json."""
    return {**_constant(), "processor": _processor(device), "device": device, "threads": threads}


@cache
def _constant() -> dict[str, Any]:
    """What does not change within a process, read once."""
    return {
        "python": platform.python_version(),
        **{name: _version("hydra-core" if name == "hydra" else name) for name in PACKAGES},
        "git": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


@cache
def _processor(device: str) -> str:
    """What a device is called by its maker, and of a CPU which instructions torch takes: both decide the last bits."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        name = found[1].strip() if found else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """git's answer about the folder that holds this code; None where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
