"""ONNX Runtime, CPU provider; precision f32, or int8 as a QDQ model."""

import onnxruntime

from worker import serve


def load(arguments):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    description = {"engine": f"ONNX Runtime {onnxruntime.__version__}", "path": arguments.precision}
    return description, lambda batch: session.run(None, {name: batch})[0]


serve(load)
