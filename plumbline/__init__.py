"""Plumbline from Python: what ``src.api`` has, by the name that the package is installed by."""

from pathlib import Path

import src

if Path(str(src.__file__)).parents[1] != Path(__file__).parents[1]:
    raise ImportError(f"plumbline needs its own package src, and another one stands before it: {src.__file__}")

from src.api import Run, Sweep, UserError, load, load_sweep, sweep, train

__all__ = ["Run", "Sweep", "UserError", "load", "load_sweep", "sweep", "train"]
