"""The real Triton server with the same network, as the oracle beside `onelook serve`.

    python oracle_triton.py --onnx yolo11n.onnx --name yolo11n --http-port 9000 --grpc-port 9001 --metrics-port 9002

Runs in an environment with nvidia-pytriton (Triton 2.51, CPU) and onnxruntime. Prints READY once it
answers and serves until it is terminated. The management calls are left open, so bind it to loopback only.
"""

import argparse
import pathlib
import signal
import sys
import threading

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onnx", type=pathlib.Path, required=True, help="the network, input [1,3,H,W]")
    parser.add_argument("--name", default="yolo11n", help="name of the model")
    parser.add_argument("--http-port", type=int, default=9000)
    parser.add_argument("--grpc-port", type=int, default=9001)
    parser.add_argument("--metrics-port", type=int, default=9002)
    parser.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0 takes all cores")
    arguments = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(str(arguments.onnx), options, providers=["CPUExecutionProvider"])
    source, target = session.get_inputs()[0], session.get_outputs()[0]
    channels = target.shape[1] if isinstance(target.shape[1], int) else -1

    @batch
    def infer(images):
        rows = [session.run([target.name], {source.name: images[i : i + 1]})[0] for i in range(len(images))]
        return {target.name: np.concatenate(rows)}

    config = TritonConfig(
        http_address="127.0.0.1", http_port=arguments.http_port,
        grpc_address="127.0.0.1", grpc_port=arguments.grpc_port,
        metrics_address="127.0.0.1", metrics_port=arguments.metrics_port,
    )  # fmt: skip
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Triton(config=config, security_config=TritonSecurityConfig(restricted_endpoints=[])) as triton:
        triton.bind(
            model_name=arguments.name,
            infer_func=infer,
            inputs=[Tensor(name=source.name, dtype=np.float32, shape=(3, -1, -1))],
            outputs=[Tensor(name=target.name, dtype=np.float32, shape=(channels, -1))],
            config=ModelConfig(
                batching=True, max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=2000)
            ),
        )
        triton.run()
        print("READY", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
