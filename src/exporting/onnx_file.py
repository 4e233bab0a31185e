"""A ``Whole`` as an ONNX file that takes the columns of a file as they are."""

import io
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor

from src.data.columns import GAPS
from src.data.table import NUMBER, Column
from src.errors import UserError, first_line
from src.exporting.cells import Graph, raw
from src.exporting.check import Predict, cells
from src.exporting.subject import Subject
from src.exporting.whole import Whole
from src.runs.interval import Output

OPSET, OPSET_ML, _IR = 20, 4, 10  # the first with StringSplit and RegexFullMatch, and with strings to doubles


def made(subject: Subject) -> tuple[bytes, Predict]:
    """The file, and what it predicts by onnxruntime.

    Raises:
        UserError: as ``model``, or onnxruntime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is raised as well
    missing = list(subject.cfg.data.get("missing") or [])
    proto = model(subject.whole, subject.outputs, missing, subject.described())
    try:
        content = proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # an operation of the net's that it lacks in this precision, or a file beyond 2 GB
        raise UserError(f"onnxruntime cannot run this net ({first_line(error)}); format=torch may do") from error

    def predict(columns: Sequence[Column], features: np.ndarray) -> np.ndarray:
        plain = {place: name for name, place, far in subject.outputs if not far}
        names = [plain[place] for place in range(subject.whole.outputs)]
        return np.concatenate(session.run(names, cells(columns, features)), axis=1)

    return content, predict


def model(whole: Whole, outputs: Sequence[Output], gaps: Sequence[str], said: Mapping[str, Any]) -> onnx.ModelProto:
    """The model, with an input (rows, 1) for each column and each output (rows, 1), double.

    Args:
        whole: in evaluation mode.
        outputs: the prediction and what goes with it.
        gaps: words that mean one, besides the usual ones.
        said: of the run, for the file's metadata.

    Raises:
        UserError: torch cannot export the net, a column has no name, or is named as an output.
    """
    names = [column.name for column in whole.columns]
    given = [name for name, *_ in outputs]
    if "" in names:
        raise UserError("a column without a name cannot be an input of ONNX: name it, or leave it out by data.drop")
    if taken := next((name for name in given if name in names), None):
        raise UserError(f"the column {taken!r} is named as an output: ONNX cannot have both")
    body = _body(whole)
    prefix = "plumbline/"
    while any(name.startswith(prefix) for name in (*names, *given)):
        prefix = f"_{prefix}"
    body = onnx.compose.add_prefix(body, f"{prefix}net/")
    graph = Graph(prefix)
    matrix = raw(graph, whole.columns, [*GAPS, *gaps])
    graph.nodes.append(helper.make_node("Identity", [matrix], [body.graph.input[0].name]))
    graph.nodes += body.graph.node
    for name, place, far in outputs:
        column = graph("Gather", body.graph.output[0].name, graph.constant(np.array([place])), axis=1)
        graph.nodes.append(helper.make_node("Add", [column, graph.constant(far)], [name]))
    graph_of = helper.make_graph(
        graph.nodes,
        "plumbline",
        [_column(column.name, column.kind) for column in whole.columns],
        [_column(name) for name in given],
        [*graph.constants, *body.graph.initializer],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    opsets += [helper.make_opsetid("com.microsoft", 1)]
    found = helper.make_model(graph_of, opset_imports=opsets, functions=list(body.functions), producer_name="plumbline")
    found.ir_version = _IR
    helper.set_model_props(found, {key: v if isinstance(v, str) else json.dumps(v) for key, v in said.items()})
    return found


def _column(name: str, kind: str = NUMBER) -> onnx.ValueInfoProto:
    element = TensorProto.DOUBLE if kind == NUMBER else TensorProto.STRING
    return helper.make_tensor_value_info(name, element, ["rows", 1], kind)


def _body(whole: Whole) -> onnx.ModelProto:
    """What torch makes of it: raw (rows, columns) to (rows, outputs), both double."""
    for name, symbolic in _LACKING.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic, OPSET)
    file: Any = io.BytesIO()  # which a path may be as well
    rows = {0: "rows"}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # What it cannot export torch prints, whole graph and all.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                whole,
                (torch.zeros(3, len(whole.columns), dtype=torch.float64),),
                file,
                dynamo=False,  # the newer exporter needs onnxscript, and fifty times as long
                opset_version=OPSET,
                input_names=["raw"],
                output_names=["prediction"],
                dynamic_axes={"raw": rows, "prediction": rows},
            )
    except Exception as error:  # whatever a net of the user's own does
        raise UserError(f"torch cannot export this net to ONNX ({first_line(error)})") from error
    finally:
        logging.disable(before)
        for name in _LACKING:
            torch.onnx.unregister_custom_op_symbolic(name, OPSET)
    return onnx.load_model_from_string(file.getvalue())


def _expm1(graph: Any, value: Any) -> Any:
    """ONNX has none; what is lost near 0 is less than the target's spread has digits."""
    one: Tensor = torch.ones((), dtype=torch.float64)
    return graph.op("Sub", graph.op("Exp", value), graph.op("Constant", value_t=one))


def _column_stack(graph: Any, columns: Any) -> Any:
    """Of matrices, as nets have them: side by side."""
    return graph.op("Concat", *columns.node().inputs(), axis_i=1)


_LACKING = {"aten::expm1": _expm1, "aten::column_stack": _column_stack}  # what torch's exporter does not know
