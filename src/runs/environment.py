"""What a run ran on: versions, device, threads and the state of the code."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = {"torch": "torch", "lightning": "lightning", "hydra": "hydra-core", "optuna": "optuna"}


def environment(device: str, threads: int) -> dict[str, Any]:
    """Plain values for summary.json."""
    return {**_constant(), "device": device, "threads": threads}


@cache
def _constant() -> dict[str, Any]:
    """What does not change within a process, read once."""
    return {
        "python": platform.python_version(),
        **{name: _version(package) for name, package in _PACKAGES.items()},
        "git": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


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
