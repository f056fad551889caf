"""Writes the small synthetic models that the server's tests load: python3 scripts/server_fixtures.py (needs numpy, onnx).

One convolution, squashed: decoded boxes without meaning, for images of any size or of one. Class names are as
hostile as a model file may make them.
"""

import pathlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "crates" / "onelook-server" / "tests" / "fixtures"
NAMES = {0: "person", 1: "l'\\a \"b\" 猫\n{0}"}
VALUES = 4 + len(NAMES)


def model(shape, output):
    random = np.random.default_rng(11)
    weights = random.normal(0, 0.3, (VALUES, 3, 8, 8)).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.linspace(-1, 1, VALUES, dtype=np.float32), "b"),
        numpy_helper.from_array(np.array([0, VALUES, -1], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Reshape", ["s", "flat"], ["output0"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    boxes = helper.make_tensor_value_info("output0", TensorProto.FLOAT, output)
    graph = helper.make_graph(nodes, "tiny", [image], [boxes], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    properties = {"names": repr(NAMES), "stride": "8", "task": "detect", "imgsz": "[64, 64]", "license": "made up"}
    helper.set_model_props(made, properties)
    return made.SerializeToString()


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / "tiny.model").write_bytes(model(["n", 3, "h", "w"], ["n", VALUES, "a"]))
    (FIXTURES / "fixed.model").write_bytes(model([1, 3, 64, 64], [1, VALUES, 64]))


if __name__ == "__main__":
    main()
