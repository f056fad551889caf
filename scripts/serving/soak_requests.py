"""The kinds of requests of the soak: how each is sent, which statuses it may end with, what its answer holds."""

import base64
import dataclasses
import io
import json
import random
import re
import struct
import time
import typing
import zlib

import aiohttp
import numpy as np
import tritonclient.grpc.aio as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

import load

# What gRPC's codes are over HTTP, so that one table of statuses serves both.
GRPC_STATUS = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 503,
}


@dataclasses.dataclass
class Kind:
    name: str
    send: typing.Callable
    statuses: set
    weight: int = 1
    answer: typing.Callable = None
    same: typing.Callable = load.same_detections


class Grpc:
    """A gRPC client whose answers look like those over HTTP."""

    def __init__(self, address):
        self.address = address

    async def __aenter__(self):
        self.client = triton.InferenceServerClient(self.address)
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def infer(self, model, array):
        start = time.monotonic()
        tensor = triton.InferInput("images", list(array.shape), "FP32")
        tensor.set_data_from_numpy(array)
        try:
            result = await self.client.infer(model, [tensor])
            return load.Outcome(start, time.monotonic() - start, 200, body=result.as_numpy("output0").tobytes())
        except InferenceServerException as error:
            status = GRPC_STATUS.get(str(error.status()).removeprefix("StatusCode."), 0)
            # The client says UNAVAILABLE too when the connection breaks, which is no answer.
            if re.search(r"socket|connect|goaway|recvmsg|stream removed", str(error.message()), re.IGNORECASE):
                status = 0
            return load.Outcome(start, time.monotonic() - start, status, f"{error.status()} {error.message()}")


def post(path, data, content):
    async def send(client, _, url):
        body = data() if callable(data) else data
        headers = {} if content is None else {"Content-Type": content}
        return await load.ask(client, url + path, body, headers, keep_body=True)

    return send


def annotated(image):
    async def send(client, _, url):
        return await load.ask(
            client, f"{url}/v1/detect", image, {"Content-Type": "image/jpeg", "Accept": "image/jpeg"}, keep_body=True
        )

    return send


def get(path):
    async def send(client, _, url):
        return await load.ask(client, url + path, method="GET", keep_body=True)

    return send


def over_grpc(model, array):
    async def send(_, grpc, __):
        return await grpc.infer(model, array)

    return send


def form(*parts):
    """A function that makes a form: parts are (name, value, file name or None)."""

    def make():
        data = aiohttp.FormData()
        for name, value, filename in parts:
            data.add_field(name, value, filename=filename, content_type="image/jpeg" if filename else None)
        return data

    return make


def tensor_body(array, name="images", announced=None):
    data = array.tobytes()
    tensor = {
        "name": name,
        "shape": list(array.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": announced or len(data)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()

    async def send(client, _, url):
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        return await load.ask(client, f"{url}/v2/models/yolo11n/infer", head + data, headers, keep_body=True)

    return send


def huge_png(side=60000):
    """A valid head of a PNG that claims side x side pixels, and a little data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def encoded(image, kind, **options):
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def equal(got, wanted):
    return got == wanted


def raw_output(body):
    """The numbers of output0: the end of an answer over HTTP, all of one over gRPC."""
    announced = re.search(rb'"binary_data_size":\s*(\d+)', body[:1000])
    return np.frombuffer(body[-int(announced[1]) :] if announced else body, np.float32)


def close(got, wanted):
    return got.shape == wanted.shape and bool(np.all(np.abs(got - wanted) <= 1e-3 * np.maximum(np.abs(wanted), 1.0)))


def kinds(image, seed):
    """All kinds; the first is a good JPEG, which the leaver uses too."""
    chance = random.Random(seed)
    numbers = np.random.default_rng(seed).random((1, 3, 320, 320), np.float32)
    busy = {429, 503}
    refused = {415, 422}
    text = base64.b64encode(image).decode()
    good = [
        Kind("JPEG body", post("/v1/detect", image, "image/jpeg"), {200} | busy, 8, load.detections),
        Kind("JPEG body, square and a threshold", post("/v1/detect?rect=false&conf=0.5", image, "image/jpeg"), {200} | busy, 3, load.detections),
        Kind("JPEG body, another size", post("/v1/detect?imgsz=320", image, "image/jpeg"), {200} | busy, 3, load.detections),
        Kind("PNG body", post("/v1/detect", encoded(image, "PNG"), "image/png"), {200} | busy, 2, load.detections),
        Kind("WebP body", post("/v1/detect", encoded(image, "WEBP", quality=90), "image/webp"), {200} | busy, 2, load.detections),
        Kind("BMP body", post("/v1/detect", encoded(image, "BMP"), "image/bmp"), {200} | busy, 1, load.detections),
        Kind("form with two images", post("/v1/detect", form(("images", image, "a.jpg"), ("images", image, "b.jpg")), None), {200} | busy, 3, load.detections),
        Kind("JSON with base64", post("/v1/detect", json.dumps({"images": [{"base64": text}]}), "application/json"), {200} | busy, 3, load.detections),
        Kind("annotated JPEG", annotated(image), {200} | busy, 2, len, equal),
        Kind("DeepStack", post("/v1/vision/detection", form(("image", image, "image"), ("min_confidence", "0.4", None)), None), {200} | busy, 3, predictions, equal_deepstack),
        Kind("tensor over HTTP", tensor_body(numbers), {200} | busy, 3, raw_output, close),
        Kind("tensor over gRPC", over_grpc("yolo11n", numbers), {200} | busy, 3, raw_output, close),
        Kind("metrics", get("/metrics"), {200}, 1),
        Kind("status", get("/v1/status"), {200}, 1),
        Kind("page", get("/"), {200}, 1),
    ]  # fmt: skip
    bad = [
        Kind("truncated JPEG", post("/v1/detect", lambda: image[: chance.randrange(20, len(image) // 2)], "image/jpeg"), refused),
        Kind("truncated PNG", post("/v1/detect", encoded(image, "PNG")[:5000], "image/png"), refused),
        Kind("random bytes", post("/v1/detect", lambda: chance.randbytes(chance.randrange(1, 5000)), "image/jpeg"), refused),
        Kind("random bytes after a JPEG's head", post("/v1/detect", lambda: image[:600] + chance.randbytes(4000), "image/jpeg"), {200} | refused | busy),
        Kind("empty body", post("/v1/detect", b"", "image/jpeg"), {400} | refused),
        Kind("PNG that claims 3600 megapixels", post("/v1/detect", huge_png(), "image/png"), {413, 422}),
        Kind("text as an image", post("/v1/detect", b"hello", "text/plain"), {415}),
        Kind("broken JSON", post("/v1/detect", b'{"images":[{"base64":', "application/json"), {400}),
        Kind("JSON with bad base64", post("/v1/detect", b'{"images":[{"base64":"@@@"}]}', "application/json"), {400} | refused),
        Kind("JSON with an address", post("/v1/detect", b'{"images":[{"url":"http://169.254.169.254/"}]}', "application/json"), {400, 403}),
        Kind("form without an end", post("/v1/detect", b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nabc", "multipart/form-data; boundary=x"), {400}),
        Kind("a threshold of 7", post("/v1/detect?conf=7", image, "image/jpeg"), {400}),
        Kind("a size of 100000", post("/v1/detect?imgsz=100000", image, "image/jpeg"), {400}),
        Kind("unknown model", post("/v1/detect?model=nope", image, "image/jpeg"), {404}),
        Kind("a path as a model", post("/v1/models/..%2f..%2fetc%2fpasswd/load", b"", None), {400, 404}),
        Kind("tensor of the wrong name", tensor_body(numbers, name="image"), {400}),
        Kind("tensor that announces too much", tensor_body(numbers, announced=1 << 40), {400}),
        Kind("tensor for an unknown model over gRPC", over_grpc("nope", numbers), {404}),
        Kind("DeepStack, not an image", post("/v1/vision/detection", form(("image", b"nothing", "image")), None), {400}),
        Kind("unknown path", get("/nope"), {404}),
    ]  # fmt: skip
    return good + bad


def predictions(body):
    return json.loads(body)["predictions"]


def equal_deepstack(got, wanted):
    """Labels as before, sides within a pixel (they are whole numbers) and confidences within 1e-3."""
    return len(got) == len(wanted) and all(
        a["label"] == b["label"]
        and abs(a["confidence"] - b["confidence"]) <= 1e-3
        and all(abs(a[key] - b[key]) <= 1 for key in ("x_min", "y_min", "x_max", "y_max"))
        for a, b in zip(got, wanted)
    )
