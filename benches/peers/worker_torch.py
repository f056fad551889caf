"""PyTorch on the network of the ONNX file, channels last; precision eager-f32, eager-bf16, compile-f32 or compile-bf16.

bf16 is autocast. The network is built by benches/gpu_peers.py; no code of the exporter runs here.
"""

import os
import pathlib
import sys

os.environ.setdefault("TORCHINDUCTOR_FREEZING", "1")
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent))

import onnx
import torch
from gpu_peers import Network

from worker import serve


def load(arguments):
    way, precision = arguments.precision.split("-")
    torch.set_num_threads(arguments.threads)
    network = Network(onnx.load(arguments.model).graph).eval().to(memory_format=torch.channels_last)
    if way == "compile":
        network = torch.compile(network)

    def run(batch):
        images = torch.from_numpy(batch).to(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return network(images).float().numpy()

    description = {"engine": f"PyTorch {torch.__version__}", "path": f"{way}, {precision}"}
    return description, run


serve(load)
