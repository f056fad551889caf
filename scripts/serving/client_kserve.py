"""The KServe SDK's clients, REST (binary and JSON) and gRPC, against an Open Inference Protocol server.

    python client_kserve.py --http http://127.0.0.1:8000 --grpc 127.0.0.1:8001 --model yolo11n --image bus.npy --json out.json

Runs in the environment `kserve`. A second client, written independently of tritonclient.
"""

import argparse
import asyncio
import sys

# The SDK reads the command line when it is imported, and refuses options it does not know.
GIVEN, sys.argv = sys.argv[1:], sys.argv[:1]

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from report import Report, expect, expect_equal


def request_of(model, image, binary, name="images"):
    tensor = InferInput(name, list(image.shape), "FP32")
    tensor.set_data_from_numpy(image, binary_data=binary)
    wanted = [RequestedOutput("output0", {"binary_data": binary})]
    return InferRequest(model, [tensor], request_id="kserve-1", request_outputs=wanted)


async def rest(report, url, model, image, kept):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))

    async def ready():
        expect(await client.is_server_live(url), "not live")
        expect(await client.is_server_ready(url), "not ready")
        expect(await client.is_model_ready(url, model), "model not ready")
        expect(not await client.is_model_ready(url, "nope"), "an unknown model is ready")

    async def infer(binary):
        answer = await client.infer(url, request_of(model, image, binary), model_name=model)
        kept[f"REST, {'binary' if binary else 'JSON'}"] = check(answer, model)

    async def wrong_name():
        try:
            await client.infer(url, request_of(model, image, True, "image"), model_name=model)
        except httpx.HTTPStatusError as error:
            expect_equal(error.response.status_code, 400, "status")
            return str(error)
        raise AssertionError("a wrong input name was accepted")

    await check_async(report, "REST live, ready, model ready", ready)
    await check_async(report, "REST infer, binary", lambda: infer(True))
    await check_async(report, "REST infer, JSON", lambda: infer(False))
    await check_async(report, "REST wrong input name", wrong_name)
    await client.close()


async def by_grpc(report, address, model, image, kept):
    client = InferenceGRPCClient(address)

    async def ready():
        expect(await client.is_server_live(), "not live")
        expect(await client.is_server_ready(), "not ready")
        expect(await client.is_model_ready(model), "model not ready")

    async def unknown():
        # A server may say "not ready" or "not found"; the SDK turns the first into False.
        try:
            expect(not await client.is_model_ready("nope"), "an unknown model is ready")
        except grpc.RpcError as error:
            expect_equal(error.code(), grpc.StatusCode.NOT_FOUND, "code")

    async def infer():
        kept["gRPC"] = check(await client.infer(request_of(model, image, True)), model)

    async def wrong_name():
        try:
            await client.infer(request_of(model, image, True, "image"))
        except grpc.RpcError as error:
            expect_equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "code")
            return error.details()
        raise AssertionError("a wrong input name was accepted")

    await check_async(report, "gRPC live, ready, model ready", ready)
    await check_async(report, "gRPC unknown model is not ready", unknown)
    await check_async(report, "gRPC infer", infer)
    await check_async(report, "gRPC wrong input name", wrong_name)
    await client.close()


def check(answer, model):
    expect_equal(answer.model_name, model, "model_name")
    expect_equal(answer.id, "kserve-1", "id")
    expect_equal([output.name for output in answer.outputs], ["output0"], "outputs")
    tensor = answer.outputs[0].as_numpy()
    expect_equal(list(tensor.shape), list(answer.outputs[0].shape), "shape")
    return tensor


async def check_async(report, name, action):
    try:
        detail = await asyncio.wait_for(action(), 120)
    except Exception as error:
        report.add(name, "failed", f"{type(error).__name__}: {error}")
    else:
        report.add(name, "passed", detail or "")


def same(kept):
    expect_equal(len(kept), 3, "answers")
    first, *others = kept.values()
    for other in others:
        expect(np.array_equal(first, other), "the three ways differ")
    return f"{', '.join(kept)}: the same bits, shape {list(first.shape)}"


async def everything(report, arguments, image):
    kept = {}
    await rest(report, arguments.http, arguments.model, image, kept)
    await by_grpc(report, arguments.grpc, arguments.model, image, kept)
    report.check("all ways give the same bits", lambda: same(kept))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", required=True, help="http://HOST:PORT")
    parser.add_argument("--grpc", required=True, help="HOST:PORT")
    parser.add_argument("--model", default="yolo11n")
    parser.add_argument("--image", required=True, help=".npy, [3,H,W]")
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args(GIVEN)
    image = np.load(arguments.image)
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / 255
    image = np.ascontiguousarray(image.reshape((1, *image.shape[-3:])), np.float32)
    report = Report("kserve SDK")
    asyncio.run(everything(report, arguments, image))
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
