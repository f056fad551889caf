"""The calls that are made on both sides, the server under test and the real Triton, and their outcomes.

In: the addresses of a server. Out: `Side.outcomes`, name of the call -> a value, or the status of an error.
Judges nothing: client_triton.py does.
"""

import http.client
import json
import queue

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from google.protobuf import json_format
from tritonclient.utils import InferenceServerException


class Side:
    """One server, asked by both clients; `outcomes` keeps what each call gave."""

    def __init__(self, label, http_address, grpc_address, model, image):
        self.label, self.model, self.image = label, model, image
        self.http_address = http_address
        self.http = triton_http.InferenceServerClient(http_address, connection_timeout=60, network_timeout=60)
        self.grpc = triton_grpc.InferenceServerClient(grpc_address)
        self.outcomes = {}

    def infer(self, protocol, array=None, name="images", datatype="FP32", outputs=("output0",), binary=True, **options):
        """The client's result of one inference; every part of the request can be bent."""
        client = triton_http if protocol == "http" else triton_grpc
        array = self.image if array is None else array
        tensor = client.InferInput(name, list(array.shape), datatype)
        if protocol == "http":
            tensor.set_data_from_numpy(array, binary_data=binary)
            wanted = outputs and [client.InferRequestedOutput(each, binary_data=binary) for each in outputs]
        else:
            tensor.set_data_from_numpy(array)
            wanted = outputs and [client.InferRequestedOutput(each) for each in outputs]
        model = options.pop("model", self.model)
        return getattr(self, protocol).infer(model, [tensor], outputs=wanted, **options)

    def raw(self, method, path, body=None, headers=None):
        """(status, content type, body) below the client: for what the client would not send."""
        connection = http.client.HTTPConnection(self.http_address, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type") or "", answer.read()
        finally:
            connection.close()


def described(result):
    """An inference result as plain data, and its tensors apart."""
    answer = result.get_response()
    if not isinstance(answer, dict):
        answer = json_format.MessageToDict(answer, preserving_proto_field_name=True)
        answer.pop("raw_output_contents", None)
        for output in answer["outputs"]:
            output["shape"] = [int(size) for size in output["shape"]]
    tensors = {output["name"]: result.as_numpy(output["name"]) for output in answer["outputs"]}
    for output in answer["outputs"]:
        output.pop("data", None)
    return answer, tensors


def protobuf(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def binary_body(side, **changes):
    """A binary inference request written by hand, and its headers."""
    data = changes.pop("data", side.image.tobytes())
    tensor = {"name": "images", "shape": list(side.image.shape), "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": len(data)}
    header_length = changes.pop("header_length", None)
    tensor.update(changes)
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = len(head) if header_length is None else header_length
    return head + data, {"Inference-Header-Content-Length": str(length)}


def calls():
    """Name of each call -> what to do with a side. A pair (answer, tensors) keeps tensors for comparison."""
    one = {}

    def call(name):
        return lambda action: one.setdefault(name, action)

    for protocol in ("http", "grpc"):

        def client(side, protocol=protocol):
            return getattr(side, protocol)

        call(f"{protocol} live")(lambda s, c=client: c(s).is_server_live())
        call(f"{protocol} ready")(lambda s, c=client: c(s).is_server_ready())
        call(f"{protocol} model ready")(lambda s, c=client: c(s).is_model_ready(s.model))
        call(f"{protocol} model version ready")(lambda s, c=client: c(s).is_model_ready(s.model, "1"))
        call(f"{protocol} unknown model ready")(lambda s, c=client: c(s).is_model_ready("nope"))
        call(f"{protocol} unknown version ready")(lambda s, c=client: c(s).is_model_ready(s.model, "7"))
        for name, method in (("metadata", "get_model_metadata"), ("config", "get_model_config")):
            call(f"{protocol} model {name}")(lambda s, c=client, m=method: tidy(getattr(c(s), m)(s.model)))
            call(f"{protocol} model version {name}")(lambda s, c=client, m=method: tidy(getattr(c(s), m)(s.model, "1")))
            call(f"{protocol} unknown model {name}")(lambda s, c=client, m=method: tidy(getattr(c(s), m)("nope")))
            call(f"{protocol} unknown version {name}")(
                lambda s, c=client, m=method: tidy(getattr(c(s), m)(s.model, "7"))
            )
        call(f"{protocol} server metadata")(lambda s, c=client: tidy(c(s).get_server_metadata()))

        call(f"{protocol} infer")(lambda s, p=protocol: described(s.infer(p)))
        call(f"{protocol} infer version 1")(lambda s, p=protocol: described(s.infer(p, model_version="1")))
        call(f"{protocol} infer with an id")(lambda s, p=protocol: described(s.infer(p, request_id="ask-42")))
        call(f"{protocol} infer without outputs named")(lambda s, p=protocol: described(s.infer(p, outputs=None)))
        call(f"{protocol} infer the same output twice")(
            lambda s, p=protocol: described(s.infer(p, outputs=("output0", "output0")))
        )
        call(f"{protocol} infer a batch of 2")(
            lambda s, p=protocol: described(s.infer(p, np.concatenate([s.image, s.image[:, ::-1]])))
        )
        call(f"{protocol} infer with priority and timeout")(
            lambda s, p=protocol: described(s.infer(p, priority=1, timeout=60_000_000))
        )
        call(f"{protocol} infer with an unknown parameter")(
            lambda s, p=protocol: described(s.infer(p, parameters={"hello": "there"}))
        )
        wrong = {
            "an unknown model": {"model": "nope"},
            "an unknown version": {"model_version": "9"},
            "a wrong input name": {"name": "image"},
            "a wrong output name": {"outputs": ("nope",)},
            "a wrong rank": {"array": np.zeros((3, 640, 640), np.float32)},
            "wrong channels": {"array": np.zeros((1, 4, 64, 64), np.float32)},
            "a wrong datatype": {"array": np.zeros((1, 3, 640, 640), np.uint8), "datatype": "UINT8"},
            "an empty batch": {"array": np.zeros((0, 3, 640, 640), np.float32)},
        }
        for name, change in wrong.items():
            call(f"{protocol} infer with {name}")(lambda s, p=protocol, k=change: described(s.infer(p, **k)))
        call(f"{protocol} infer with too large a batch")(lambda s, p=protocol: described(s.infer(p, too_many(s))))
        call(f"{protocol} statistics")(lambda s, c=client: tidy(c(s).get_inference_statistics(s.model)))
        call(f"{protocol} statistics of all models")(lambda s, c=client: tidy(c(s).get_inference_statistics()))
        call(f"{protocol} statistics of an unknown model")(
            lambda s, c=client: tidy(c(s).get_inference_statistics("nope"))
        )
        call(f"{protocol} repository index")(lambda s, c=client: tidy(c(s).get_model_repository_index()))
        call(f"{protocol} load an unknown model")(lambda s, c=client: c(s).load_model("nope"))

    call("http infer, JSON tensors")(lambda s: described(s.infer("http", binary=False)))
    call("http infer, gzip request")(lambda s: described(s.infer("http", request_compression_algorithm="gzip")))
    call("http infer, gzip answer")(lambda s: described(s.infer("http", response_compression_algorithm="gzip")))
    call("http infer, asynchronous")(lambda s: described(asynchronous_http(s)))
    call("grpc infer, asynchronous")(lambda s: described(asynchronous_grpc(s)))
    raw_calls(call)
    return one


def too_many(side):
    """One image more than the side says that it takes at a time."""
    most = int(side.http.get_model_config(side.model)["max_batch_size"])
    return np.zeros((most + 1, 3, 32, 32), np.float32)


def asynchronous_http(side):
    tensor = triton_http.InferInput("images", list(side.image.shape), "FP32")
    tensor.set_data_from_numpy(side.image)
    return side.http.async_infer(side.model, [tensor]).get_result()


def asynchronous_grpc(side):
    answers = queue.Queue()
    tensor = triton_grpc.InferInput("images", list(side.image.shape), "FP32")
    tensor.set_data_from_numpy(side.image)
    side.grpc.async_infer(side.model, [tensor], lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=60)
    if error:
        raise error
    return result


def raw_calls(call):
    """Requests that no client writes. The outcome is the status, the kind of content and the keys."""

    def ask(side, method, path, body=None, headers=None):
        status, content, answer = side.raw(method, path.replace("MODEL", side.model), body, headers)
        outcome = {"status": status, "content": content.split(";")[0]}
        if answer[:1] in (b"{", b"[") and "octet" not in content:
            decoded = json.loads(answer)
            outcome["keys"] = sorted(decoded) if isinstance(decoded, dict) else "list"
        else:
            outcome["bytes"] = bool(answer)
        return outcome

    def infer(change, **headers):
        def action(side):
            body, own = binary_body(side, **change)
            return ask(side, "POST", "/v2/models/MODEL/infer", body, {**own, **headers})

        return action

    for method, path in (
        ("GET", "/v2"), ("GET", "/v2/"), ("GET", "/v2/health/live"), ("GET", "/v2/health/ready"), ("GET", "/v2/models/MODEL"),
        ("GET", "/v2/models/MODEL/versions/1"), ("GET", "/v2/models/MODEL/versions/x"), ("GET", "/v2/models/MODEL/versions/1/config"),
        ("GET", "/v2/models/MODEL/versions/1/stats"), ("GET", "/v2/models/stats"), ("GET", "/v2/models"), ("GET", "/v2/nonsense"),
        ("GET", "/v2/models/MODEL/infer"), ("DELETE", "/v2/models/MODEL"), ("POST", "/v2/models/MODEL"), ("POST", "/v2/health/live"),
        ("GET", "/v2/repository/index"), ("POST", "/v2/repository/index"), ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd"), ("GET", "/v2/models/%00"),
    ):  # fmt: skip
        call(f"raw {method} {path}")(lambda s, m=method, p=path: ask(s, m, p))
    bodies = {
        "an empty body": b"",
        "broken JSON": b'{"inputs":[',
        "a JSON list": b"[]",
        "no inputs": b"{}",
        "an empty list of inputs": b'{"inputs":[]}',
        "too few numbers": json.dumps(
            {"inputs": [{"name": "images", "shape": [1, 3, 64, 64], "datatype": "FP32", "data": [1, 2]}]}
        ).encode(),
        "words for numbers": json.dumps(
            {"inputs": [{"name": "images", "shape": [1, 3, 1, 1], "datatype": "FP32", "data": list("abc")}]}
        ).encode(),
        "no data": json.dumps({"inputs": [{"name": "images", "shape": [1, 3, 1, 1], "datatype": "FP32"}]}).encode(),
        "no shape": json.dumps({"inputs": [{"name": "images", "datatype": "FP32", "data": [1]}]}).encode(),
    }
    for name, body in bodies.items():
        call(f"raw infer with {name}")(
            lambda s, b=body: ask(s, "POST", "/v2/models/MODEL/infer", b, {"Content-Type": "application/json"})
        )
    changes = {
        "a shape that does not match the bytes": {"shape": [1, 3, 320, 320]},
        "a negative size": {"shape": [1, 3, -640, -640]},
        "a size beyond 64 bits": {"shape": [1, 3, 4294967296, 4294967296]},
        "an unknown datatype": {"datatype": "FLOAT"},
        "more bytes announced than sent": {"parameters": {"binary_data_size": 640 * 640 * 12 + 4}},
        "fewer bytes announced than sent": {"parameters": {"binary_data_size": 640 * 640 * 12 - 4}},
        "a header longer than the body": {"header_length": 99999999},
        "a header length that is not a number": {"header_length": "abc"},
        "a negative header length": {"header_length": -5},
    }
    for name, change in changes.items():
        call(f"raw infer with {name}")(infer(change))


def tidy(answer):
    return answer if isinstance(answer, (dict, list)) else protobuf(answer)


def record(side):
    for name, action in calls().items():
        try:
            value = action(side)
            tensors = {}
            if isinstance(value, tuple):
                value, tensors = value
            side.outcomes[name] = {"status": "ok", "value": value, "tensors": tensors}
        except InferenceServerException as error:
            side.outcomes[name] = {"status": str(error.status()), "message": str(error.message()), "tensors": {}}
        except Exception as error:
            side.outcomes[name] = {
                "status": f"client gave up: {type(error).__name__}",
                "message": str(error),
                "tensors": {},
            }
