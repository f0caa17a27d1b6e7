"""ONNX Runtime on the CPU: forward only, with its own channels-first tensors."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from experiments.bench.case import Case
from experiments.bench.contenders.contender import LeftOut, Problem, Program
from experiments.environment import cores

_OPSET = 19  # the first opset with a dilated average


def prepare(problem: Problem) -> Program:
    """A session of a model with one node, whose input is bound beforehand."""
    if problem.mode not in ("forward", "eager"):
        raise LeftOut("ONNX Runtime has no derivatives here")
    if problem.dtype != "float32":
        raise LeftOut(f"ONNX Runtime does not pool {problem.dtype} on the CPU")
    session = _session(problem.case)
    binding = session.io_binding()
    own = np.ascontiguousarray(np.moveaxis(problem.x, -1, 1))
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(own))
    binding.bind_output("y")

    def run() -> ort.OrtValue:
        session.run_with_iobinding(binding)
        return binding.get_outputs()[0]

    return Program(
        run=run,
        fetch=lambda output: (np.moveaxis(output.numpy(), 1, -1),),
        detail=f"channels first, {cores()} threads",
    )


def _session(case: Case) -> ort.InferenceSession:
    def info(name: str, shape: tuple[int, ...]):
        batch, *spatial, channels = shape
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, *spatial])

    graph = helper.make_graph(
        [_node(case)], "pool", [info("x", case.shape)], [info("y", case.output_shape)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 9  # the format of this opset
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores()
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _node(case: Case):
    if case.is_global:
        kind = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[case.operator]
        return helper.make_node(kind, ["x"], ["y"])
    geometry = {
        "kernel_shape": case.windows,
        "strides": case.steps,
        "pads": [low for low, _ in case.pads] + [high for _, high in case.pads],
        "dilations": [case.dilation] * len(case.spatial),
    }
    if case.operator == "max":
        return helper.make_node("MaxPool", ["x"], ["y"], **geometry)
    return helper.make_node(
        "AveragePool", ["x"], ["y"], count_include_pad=int(case.count_include_pad), **geometry
    )
