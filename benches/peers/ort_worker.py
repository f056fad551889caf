"""ONNX Runtime for benches/peers: MODEL SIZE THREADS FOLDER.

Prints its version, then for each line on standard input runs once and prints the nanoseconds.
Input and output travel as raw little-endian f32 in FOLDER.
"""

import pathlib
import sys
import time

import numpy as np
import onnxruntime as ort

model, size, threads, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
print(ort.__version__, flush=True)

image, first = None, True
for _ in sys.stdin:
    if image is None:
        image = np.fromfile(folder / "input.f32", "<f4").reshape(1, 3, size, size)
    start = time.perf_counter_ns()
    (output, *_) = session.run(None, {name: image})
    elapsed = time.perf_counter_ns() - start
    if first:
        output.astype("<f4").tofile(folder / "output.f32")
        first = False
    print(elapsed, flush=True)
