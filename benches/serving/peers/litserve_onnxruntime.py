"""LitServe + onnxruntime: decode in `decode_request`, inference per batch, boxes in `encode_response`.

    python litserve_onnxruntime.py --model yolo11n.onnx --port 9100 [--batch 8] [--workers 1] [--threads 0]

The image comes as part `image` of a form: LitServe takes forms and JSON only. The network has a fixed batch of 1, so a batch runs image by image: on a CPU that costs nothing against one
large run. Settings to choose from: one worker with all cores and batches of 8, or a worker per core.
"""

import argparse

import litserve
from fastapi import Request

from detector import Detector


class Api(litserve.LitAPI):
    def __init__(self, model, threads, batch):
        super().__init__(max_batch_size=batch, batch_timeout=0.005 if batch > 1 else 0.0, api_path="/detect")
        self.model, self.threads, self.batched = model, threads, batch > 1

    def setup(self, device):
        self.detector = Detector(self.model, self.threads)

    def decode_request(self, request: Request):
        return self.detector.prepare(request["image"].file.read())

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        if self.batched:
            return [self.detector.run(*each) for each in inputs]
        return self.detector.run(*inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"detections": self.detector.boxes(*output)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    api = Api(arguments.model, arguments.threads, arguments.batch)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=arguments.workers, track_requests=False)
    server.run(host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, generate_client_file=False)


if __name__ == "__main__":
    main()
