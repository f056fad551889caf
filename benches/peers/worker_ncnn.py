"""ncnn; precision f32, or f16: its half storage and arithmetic (f16 or bf16) wherever it uses them.

It has no batches: images of a batch follow each other.
"""

import ncnn
import numpy as np

from worker import serve


def load(arguments):
    net = ncnn.Net()
    options, half = net.opt, arguments.precision != "f32"
    options.num_threads = arguments.threads
    options.use_vulkan_compute = False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = half
    options.use_bf16_storage = half
    net.load_param(f"{arguments.model}.param")
    net.load_model(f"{arguments.model}.bin")
    given, wanted = net.input_names()[0], net.output_names()[0]

    def one(image):
        extractor = net.create_extractor()
        extractor.input(given, ncnn.Mat(image))
        return np.array(extractor.extract(wanted)[1])

    description = {"engine": f"ncnn {ncnn.__version__}", "path": "bf16 storage" if half else "f32"}
    return description, lambda batch: np.stack([one(image) for image in batch])


serve(load)
