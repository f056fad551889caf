"""8-bit and other forms of an ONNX model, each by its engine's own tool: KIND MODEL.onnx SIZE IMAGES TARGET.

`nncf`: OpenVINO's usual recipe, `nncf.quantize` with the mixed preset. `qdq`: ONNX Runtime's, pre-processing, then
`quantize_static` per channel. Both calibrate on IMAGES (bytes as the workers read them), and both leave the
arithmetic behind the last convolutions in floats, as their users do: boxes in pixels and scores share one output.
`ncnn`: by pnnx, f32 weights.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np


def calibration(images, size, name=None, batch=1):
    values = np.memmap(images, np.uint8, "r").reshape(-1, 3, size, size)
    for first in range(0, len(values) - batch + 1, batch):
        value = values[first : first + batch].astype(np.float32) / np.float32(255)
        yield {name: value} if name else value


def tail(model):
    """Names of the nodes that only the last convolutions' results reach: the decoding of boxes and scores."""
    import onnx

    graph = onnx.load(model).graph
    readers = {}
    for node in graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    leads_to_heavy, names = {}, []
    heavy = ("Conv", "MatMul", "Gemm")
    for node in reversed(graph.node):
        after = [reader for value in node.output for reader in readers.get(value, [])]
        leads_to_heavy[node.name] = any(
            (reader.op_type in heavy and "/dfl/" not in reader.name) or leads_to_heavy[reader.name] for reader in after
        )
        if not leads_to_heavy[node.name] and (node.op_type not in heavy or "/dfl/" in node.name):
            names.append(node.name)
    return names


def nncf(model, size, images, target):
    import nncf
    import openvino

    network = openvino.Core().read_model(model)
    batch = network.input(0).shape[0]
    data = nncf.Dataset(list(range(len(np.memmap(images, np.uint8, "r")) // (3 * size * size) // batch)),
                        Calibration(images, size, batch))
    present = {node.get_friendly_name() for node in network.get_ops()}
    names = [name for name in tail(model) if name in present]
    ignored = nncf.IgnoredScope(names=names)
    quantised = nncf.quantize(network, data, preset=nncf.QuantizationPreset.MIXED, ignored_scope=ignored)
    openvino.save_model(quantised, target, compress_to_fp16=False)


class Calibration:
    """Gives a batch by its number, for NNCF's data set."""

    def __init__(self, images, size, batch):
        self.values, self.batch = np.memmap(images, np.uint8, "r").reshape(-1, 3, size, size), batch

    def __call__(self, number):
        first = number * self.batch
        return self.values[first : first + self.batch].astype(np.float32) / np.float32(255)


def qdq(model, size, images, target):
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared = str(pathlib.Path(folder) / "prepared.onnx")
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        given = onnxruntime.InferenceSession(prepared, providers=["CPUExecutionProvider"]).get_inputs()[0]

        class Reader(CalibrationDataReader):
            def __init__(self):
                self.items = calibration(images, size, given.name, given.shape[0])

            def get_next(self):
                return next(self.items, None)

        quantize_static(prepared, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        nodes_to_exclude=tail(prepared))


def ncnn(model, size, _images, target):
    # The package's Python side needs torch, its program does not.
    program = pathlib.Path(importlib.util.find_spec("pnnx").origin).parent / "pnnx"
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(model, pathlib.Path(folder) / "model.onnx")
        subprocess.run([program, copy, f"inputshape=[1,3,{size},{size}]", "fp16=0"], cwd=folder, check=True)
        for kind in ("param", "bin"):
            shutil.move(pathlib.Path(folder) / f"model.ncnn.{kind}", f"{target}.{kind}")


if __name__ == "__main__":
    kind, model, size, images, target = sys.argv[1:6]
    {"nncf": nncf, "qdq": qdq, "ncnn": ncnn}[kind](model, int(size), images, target)
