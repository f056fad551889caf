"""tritonclient, HTTP and gRPC, against `onelook serve`, and the same calls against the real Triton server.

    python client_triton.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --model yolo11n --image bus.npy \\
        --oracle-http 127.0.0.1:9000 --oracle-grpc 127.0.0.1:9001 --json out.json

Runs in the environment `triton`. Each call is made once per side and kept as an outcome: a value, or the
status of an error. First the outcomes of our side are held against exact expectations; then both sides are
compared: the outputs, the class of each status, the keys of each answer. A difference passes only if
`EXPLAINED` in triton_differences.py gives its reason, and is listed with it. The image is an array
[3,H,W] of bytes, or of floats in 0..1.
"""

import argparse
import sys

import numpy as np
from tritonclient.utils import InferenceServerException

import triton_differences
from report import Report, Skipped, expect, expect_equal
from triton_calls import Side, described, record, tidy

RELATIVE = 1e-3


def outcome(side, name):
    kept = side.outcomes[name]
    expect(kept["status"] == "ok", f"{name}: error {kept['status']}: {kept.get('message')}")
    return kept


def assert_ours(report, ours, arguments):
    """Exact expectations of our side, whatever the oracle says."""
    size = list(ours.image.shape)
    for protocol in ("http", "grpc"):

        def value(name, protocol=protocol):
            return outcome(ours, f"{protocol} {name}")["value"]

        def metadata():
            got = value("model metadata")
            expect_equal(got["name"], ours.model, "name")
            expect_equal(got["versions"], ["1"], "versions")
            shapes = [[int(number) for number in each["shape"]] for each in (got["inputs"][0], got["outputs"][0])]
            expect_equal(got["inputs"][0]["name"], "images", "input")
            expect_equal(got["inputs"][0]["datatype"], "FP32", "datatype of the input")
            expect_equal(shapes[0], [-1, 3, -1, -1], "shape of the input")
            expect_equal(got["outputs"][0]["name"], "output0", "output")
            expect_equal(got["outputs"][0]["datatype"], "FP32", "datatype of the output")
            return f"input {shapes[0]}, output {shapes[1]}"

        def config():
            got = value("model config")
            got = got.get("config", got)
            expect_equal(got["name"], ours.model, "name")
            expect_equal(got["input"][0]["data_type"], "TYPE_FP32", "data_type")
            expect_equal([int(number) for number in got["input"][0]["dims"]][:1], [3], "channels")
            expect("names" in got["parameters"]["metadata"]["string_value"], "parameters.metadata has no names")
            return f"max_batch_size {got.get('max_batch_size')}, dims {got['input'][0]['dims']}"

        def statistics():
            got = value("statistics")["model_stats"][0]
            expect_equal(got["name"], ours.model, "name")
            count = int(got["inference_count"])
            success = int(got["inference_stats"]["success"]["count"])
            expect(
                count >= 8 and success >= 8, f"inference_count {count}, success {success} after 8 inferences and more"
            )
            return f"inference_count {count}, execution_count {got['execution_count']}"

        def inference():
            names = ["infer", "infer version 1", "infer with an id", "infer without outputs named"]
            first = outcome(ours, f"{protocol} infer")
            for name in names:
                kept = outcome(ours, f"{protocol} {name}")
                expect_equal(kept["value"]["model_name"], ours.model, f"{name}: model_name")
                expect_equal([each["name"] for each in kept["value"]["outputs"]], ["output0"], f"{name}: outputs")
                expect(
                    np.array_equal(kept["tensors"]["output0"], first["tensors"]["output0"]),
                    f"{name}: another answer for the same image",
                )
            tensor = first["tensors"]["output0"]
            expect_equal(tensor.dtype, np.float32, "dtype")
            expect_equal(list(tensor.shape), first["value"]["outputs"][0]["shape"], "shape in the head")
            expect(np.isfinite(tensor).all(), "output0 has numbers that are not finite")
            return f"{size} -> {list(tensor.shape)}"

        def ids():
            expect_equal(value("infer with an id").get("id"), "ask-42", "id")
            expect_equal(value("infer").get("id") or None, None, "id of a request without one")

        def batches():
            single = outcome(ours, f"{protocol} infer")["tensors"]["output0"]
            both = outcome(ours, f"{protocol} infer a batch of 2")["tensors"]["output0"]
            expect_equal(both.shape[0], 2, "rows")
            worst = relative(both[:1], single)
            expect(worst <= RELATIVE, f"row 0 of the batch is {worst:.1e} off the single answer")
            return f"largest relative difference of row 0 to the single answer {worst:.1e}"

        def health():
            for name in ("live", "ready", "model ready", "model version ready"):
                expect_equal(value(name), True, name)
            for name in ("unknown model ready", "unknown version ready"):
                expect_equal(value(name), False, name)

        def index():
            got = value("repository index")
            rows = got if isinstance(got, list) else got["models"]
            row = next(each for each in rows if each["name"] == ours.model)
            expect_equal(row.get("state"), "READY", "state")
            expect_equal(row.get("version"), "1", "version")
            return row

        def extensions():
            got = value("server metadata")
            expect(
                {"binary_tensor_data", "model_configuration", "statistics", "model_repository"}
                <= set(got["extensions"]),
                f"extensions {got['extensions']}",
            )
            expect(not any("shared_memory" in each for each in got["extensions"]), "claims shared memory")
            return f"{got['name']} {got['version']}: {got['extensions']}"

        for name, action in (
            ("health", health), ("server metadata", extensions), ("model metadata", metadata), ("model config", config), ("infer", inference),
            ("request ids", ids), ("a batch equals its single images", batches), ("statistics", statistics), ("repository index", index),
        ):  # fmt: skip
            report.check(f"{protocol} {name}", action)

    def same_answer_everywhere():
        first = outcome(ours, "http infer")["tensors"]["output0"]
        for name in (
            "grpc infer",
            "http infer, JSON tensors",
            "http infer, gzip request",
            "http infer, asynchronous",
            "grpc infer, asynchronous",
        ):
            expect(
                np.array_equal(outcome(ours, name)["tensors"]["output0"], first), f"{name}: differs from HTTP binary"
            )
        return "binary, JSON, gzip, asynchronous, HTTP and gRPC: the same bits"

    def no_server_errors():
        bad = []
        for name, kept in ours.outcomes.items():
            status = kept["value"]["status"] if name.startswith("raw") and kept["status"] == "ok" else kept["status"]
            if str(status).startswith("5") or str(status) in (
                "StatusCode.INTERNAL",
                "StatusCode.UNKNOWN",
                "StatusCode.CANCELLED",
            ):
                bad.append(f"{name}: {status} {kept.get('message', '')}")
        expect(not bad, "; ".join(bad))
        return f"{len(ours.outcomes)} calls"

    def error_bodies():
        for name, kept in ours.outcomes.items():
            if name.startswith("raw") and kept["status"] == "ok" and kept["value"]["status"] >= 400:
                expect(
                    "error" in kept["value"].get("keys", []),
                    f"{name}: {kept['value']} has no key error, which clients print",
                )
        return "every refusal of /v2 has the key error"

    report.check("all ways give the same bits", same_answer_everywhere)
    report.check("no call ends in a server error", no_server_errors)
    report.check("errors have the shape clients read", error_bodies)
    if arguments.manage:
        for protocol in ("http", "grpc"):
            report.check(f"{protocol} unload and load", lambda p=protocol: unload_and_load(ours, p))
    if arguments.second_model:
        for protocol in ("http", "grpc"):
            report.check(
                f"{protocol} several outputs by name",
                lambda p=protocol: several_outputs(ours, p, arguments.second_model),
            )


def state(side, protocol):
    rows = tidy(getattr(side, protocol).get_model_repository_index())
    rows = rows if isinstance(rows, list) else rows["models"]
    return next(row.get("state") for row in rows if row["name"] == side.model)


def unload_and_load(side, protocol):
    client = getattr(side, protocol)
    before = side.infer(protocol).as_numpy("output0")
    client.unload_model(side.model)
    expect_equal(client.is_model_ready(side.model), False, "model ready after unload")
    expect_equal(state(side, protocol), "UNAVAILABLE", "state after unload")
    try:
        side.infer(protocol)
        raise AssertionError("an unloaded model answered")
    except InferenceServerException as error:
        status = str(error.status())
        expect(status in ("404", "400", "503", "StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE"), f"unloaded: {error}")
    client.load_model(side.model)
    expect_equal(client.is_model_ready(side.model), True, "model ready after load")
    expect_equal(state(side, protocol), "READY", "state after load")
    expect(np.array_equal(side.infer(protocol).as_numpy("output0"), before), "another answer after load")
    client.load_model(side.model)
    expect(np.array_equal(side.infer(protocol).as_numpy("output0"), before), "another answer after a second load")
    return f"infer while unloaded: {status}"


def several_outputs(side, protocol, model):
    names = [each["name"] for each in tidy(getattr(side, protocol).get_model_metadata(model))["outputs"]]
    if len(names) < 2:
        raise Skipped(f"{model} has one output only: {names}")
    everything = side.infer(protocol, model=model, outputs=None)
    expect_equal([each["name"] for each in described(everything)[0]["outputs"]], names, "outputs when none is named")
    for wanted in (names[::-1], names[1:]):
        answer, tensors = described(side.infer(protocol, model=model, outputs=wanted))
        expect_equal(sorted(each["name"] for each in answer["outputs"]), sorted(wanted), "outputs")
        for name in wanted:
            expect(np.array_equal(tensors[name], everything.as_numpy(name)), f"{name} depends on what else is asked")
    return names


def relative(got, wanted):
    return float(np.max(np.abs(got - wanted) / np.maximum(np.abs(wanted), 1.0)))


def compare(report, ours, oracle):
    """Outputs within 1e-3; statuses of one class; the same keys. What differs needs a reason."""
    for name in ours.outcomes:
        report.check(f"as Triton: {name}", lambda n=name: compare_one(n, ours.outcomes[n], oracle.outcomes[n]))


def compare_one(name, got, wanted):
    differences = []
    classes = [triton_differences.status_class(name, kept) for kept in (got, wanted)]
    if classes[0] != classes[1]:
        differences.append(("status", f"{classes[0]} where Triton says {classes[1]}"))
    elif got["status"] == "ok":
        differences += triton_differences.key_differences(got["value"], wanted["value"])
    detail = []
    for tensor, values in wanted["tensors"].items():
        if tensor in got["tensors"]:
            expect_equal(got["tensors"][tensor].shape, values.shape, f"shape of {tensor}")
            worst = relative(got["tensors"][tensor], values)
            expect(worst <= RELATIVE, f"{tensor}: relative difference {worst:.2e}")
            detail.append(f"{tensor} within {worst:.1e}")
    unexplained = []
    for path, difference in differences:
        reason = triton_differences.explanation(name, path, difference)
        (detail if reason else unexplained).append(f"{path}: {difference}" + (f" ({reason})" if reason else ""))
    message = got.get("message", "")
    expect(not unexplained, "; ".join(unexplained) + (f"; ours: {message}" if message else ""))
    return "; ".join(detail)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", required=True, help="HOST:PORT of the server under test")
    parser.add_argument("--grpc", required=True, help="HOST:PORT of its gRPC side")
    parser.add_argument("--oracle-http", help="HOST:PORT of the real Triton server")
    parser.add_argument("--oracle-grpc")
    parser.add_argument("--model", default="yolo11n")
    parser.add_argument("--second-model", help="a model with several outputs, to ask for them by name")
    parser.add_argument("--image", required=True, help=".npy, [3,H,W]")
    parser.add_argument("--manage", action="store_true", help="also unload and load the model")
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()

    image = np.load(arguments.image)
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / 255
    image = np.ascontiguousarray(image.reshape((1, *image.shape[-3:])), np.float32)
    ours = Side("onelook", arguments.http, arguments.grpc, arguments.model, image)
    report = Report("tritonclient")
    record(ours)
    assert_ours(report, ours, arguments)
    if arguments.oracle_http:
        oracle = Side("Triton", arguments.oracle_http, arguments.oracle_grpc, arguments.model, image)
        record(oracle)
        compare(report, ours, oracle)
    else:
        report.add("compared with the real Triton", "skipped", "no --oracle-http given")
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
