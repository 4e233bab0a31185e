"""Rows as an ONNX file takes them, from a CSV file and nothing of ours: what docs/export.md tells a reader to do."""

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd


def by_onnx(model: Path, rows: Path) -> dict[str, np.ndarray]:
    """The file's outputs (rows,) for the rows of a CSV file."""
    session = onnxruntime.InferenceSession(str(model))
    table = pd.read_csv(rows, dtype=str, keep_default_na=False)
    inputs = {}
    for each in session.get_inputs():
        cells = table[each.name].to_numpy(dtype=object)
        if each.type == "tensor(double)":
            cells = np.array([float(cell or "nan") for cell in cells])
        inputs[each.name] = cells[:, None]
    names = [each.name for each in session.get_outputs()]
    return {name: found[:, 0] for name, found in zip(names, session.run(names, inputs), strict=True)}


def varied(rows: int = 150) -> pd.DataFrame:
    """Words few and many, numbers far from zero, booleans, dates, moments and gaps; names that break what they can."""
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "a $^\\ \"x\" 'y'\n=é漢": generator.normal(100, 20, rows).round(2),
            "raw": 1e9 + generator.normal(0, 5, rows),
            "prediction": generator.choice(["gas", "oil", "wood"], rows),
            "${oc.env:HOME}": generator.choice([True, False], rows),
            "plumbline/0": (np.datetime64("2020-01-15") + generator.integers(0, 900, rows)).astype(str),
            "b,c|`d`": (np.datetime64("1960-02-28T01:02:03.25") + 3_333_333 * np.arange(rows)).astype(str),
            "net.weight": [f"town {place}" for place in generator.integers(0, 15, rows)],
        }
    )
    numbers = frame.iloc[:, 0] + 4 * (frame["raw"] - 1e9) + 30 * (frame["prediction"] == "oil")
    frame = frame.astype({"${oc.env:HOME}": object})
    for place, name in enumerate(frame.columns):
        if name != "raw":
            frame.loc[place :: 11 + place, name] = None
    frame["y"] = (numbers + generator.normal(0, 1, rows)).round(2).clip(lower=1)
    return frame


def altered(frame: pd.DataFrame) -> pd.DataFrame:
    """New rows of the same columns: other gaps, words that nobody has met, other years."""
    new = frame.drop(columns="y").iloc[::2].reset_index(drop=True)
    new.loc[::3, "prediction"] = "sunlight"
    new.loc[::4, "net.weight"] = "atlantis"
    new.loc[1::4, "net.weight"] = new["net.weight"] + " \t"
    new.loc[::6, "plumbline/0"] = "\u00a02021-01-05 "
    new.loc[::5, "plumbline/0"] = "2024-02-29"
    new.loc[1::5, "b,c|`d`"] = "1999-12-31T23:59:59.999999"
    new.loc[2::7, new.columns[0]] = None
    return new
