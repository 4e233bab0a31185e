"""The graph that autograd walks, from the loss back to the parameters, in Graphviz's language."""

import subprocess
from pathlib import Path
from shutil import which
from typing import Any

from torch import Tensor


def autograd_graph(loss: Tensor, parameters: dict[str, Tensor]) -> str:
    """DOT text of the functions behind ``loss``; leaves are named after ``parameters``."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    lines = ["digraph autograd {", "  rankdir=BT;", '  node [shape=box, fontname="sans-serif"];']
    lines.append('  loss [label="loss", shape=ellipse];')
    numbers: dict[Any, int] = {}
    pending = [loss.grad_fn]
    while pending:
        function = pending.pop()
        if function is None or function in numbers:
            continue
        numbers[function] = len(numbers)
        leaf = getattr(function, "variable", None)
        if leaf is not None:
            shape = "×".join(str(size) for size in leaf.shape) or "1"
            label = f"{names.get(id(leaf), 'tensor')} ({shape})"
            lines.append(f'  n{numbers[function]} [label="{label}", shape=ellipse, style=filled, fillcolor=lightblue];')
        else:
            lines.append(f'  n{numbers[function]} [label="{function.name().removesuffix("Backward0")}"];')
        pending += [inner for inner, _ in function.next_functions]
    for function, number in numbers.items():
        for inner, _ in function.next_functions:
            if inner is not None:
                lines.append(f"  n{numbers[inner]} -> n{number};")
    if loss.grad_fn is not None:
        lines.append(f"  n{numbers[loss.grad_fn]} -> loss;")
    return "\n".join([*lines, "}"]) + "\n"


def write_graph(dot: str, path: Path) -> Path:
    """Writes ``path``.svg where Graphviz is installed, else ``path``.dot; returns which."""
    program = which("dot")
    if program is None:
        target = path.with_suffix(".dot")
        target.write_text(dot, encoding="utf-8")
        return target
    target = path.with_suffix(".svg")
    subprocess.run([program, "-Tsvg", "-o", str(target)], input=dot, text=True, check=True, timeout=60)
    return target
