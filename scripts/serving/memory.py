"""The worst message of each protocol: how much memory one of them costs the server.

    python3 memory.py --model yolo11n.pt [--megabytes 60] [--onelook BINARY]

Every message goes to a server of its own. It may be refused or answered, but the process must not grow by more than
four times the message and 200 MB, and must answer an ordinary request afterwards.
"""

import argparse
import gzip
import json
import pathlib
import sys

import environments

environments.enter("load")

import grpc

from process import Onelook, request
from report import Report, expect

CALL = "/inference.GRPCInferenceService/ModelInfer"


def reset_peak(pid):
    """Makes the kernel forget the process's peak; its resident bytes now."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid):
    """Most resident bytes since then."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def repeated(unit, size):
    return unit * (size // len(unit))


def field(number, payload):
    """A length-delimited field of a protocol buffer."""
    length, value = b"", len(payload)
    while value > 127:
        length, value = length + bytes([value & 127 | 128]), value >> 7
    return bytes([number << 3 | 2]) + length + bytes([value]) + payload


def http(path, kind, body, **headers):
    def send(server):
        headers_ = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return request(server.url + path, body, headers_)[0]

    return len(body), send


def rpc(body):
    def send(server):
        channel = grpc.insecure_channel(f"127.0.0.1:{server.http_port}", options=[("grpc.max_send_message_length", -1)])
        try:
            channel.unary_unary(CALL, lambda raw: raw, lambda raw: raw)(body, timeout=120)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name
        finally:
            channel.close()

    return len(body), send


def messages(model, size):
    """Names, and for each its length and what sends it."""
    json_kind, form_kind = "application/json", "multipart/form-data; boundary=X"
    infer = f"/v2/models/{model}/infer"
    tensor = b'{"name":"images","datatype":"FP32","shape":[1,3,640,640]'
    part = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    return {
        "detect JSON, a list as a number": http("/v1/detect", json_kind, b'{"image":{"base64":"AAAA"},"conf":[' + repeated(b"0,", size) + b"0]}"),
        "detect JSON, many images": http("/v1/detect", json_kind, b'{"images":[' + repeated(b"{},", size) + b"{}]}"),
        "detect JSON, many members": http("/v1/detect", json_kind, b"{" + repeated(b'"a":0,', size) + b'"b":0}'),
        "detect JSON, nested lists": http("/v1/detect", json_kind, b'{"conf":' + repeated(b"[", size) + b"}"),
        "detect JSON, base64": http("/v1/detect", json_kind, b'{"image":{"base64":"' + repeated(b"AAAA", size) + b'"}}'),
        "detect JSON, escaped base64": http("/v1/detect", json_kind, b'{"image":{"base64":"' + repeated(rb"\/AAA", size) + b'"}}'),
        "detect form, many parts": http("/v1/detect", form_kind, repeated(part, size) + b"--X--"),
        "detect, not an image": http("/v1/detect", "image/jpeg", repeated(b"\xff\xd8\xff\xe0", size)),
        "detect, compressed zeros": http("/v1/detect", "image/png", gzip.compress(bytes(size)), Content_Encoding="gzip"),
        "DeepStack form, many parts": http("/v1/vision/detection", form_kind, repeated(part, size) + b"--X--"),
        "DeepStack form, one large file": http("/v1/vision/detection", form_kind, b'--X\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + bytes(size) + b"\r\n--X--"),
        "OIP JSON, many numbers": http(infer, json_kind, b'{"inputs":[' + tensor + b',"data":[' + repeated(b"0,", size) + b"0]}]}"),
        "OIP JSON, many inputs": http(infer, json_kind, b'{"inputs":[' + repeated(b'{"name":"","datatype":"","shape":[]},', size) + tensor + b"}]}"),
        "OIP JSON, many outputs": http(infer, json_kind, b'{"outputs":[' + repeated(b'{"name":""},', size) + b'{"name":""}],"inputs":[]}'),
        "OIP JSON, compressed numbers": http(infer, json_kind, gzip.compress(b'{"inputs":[' + tensor + b',"data":[' + repeated(b"0,", size) + b"0]}]}"), Content_Encoding="gzip"),
        "OIP binary, one large tensor": http(infer, "application/octet-stream", (head := b'{"inputs":[' + tensor + b',"parameters":{"binary_data_size":%d}}]}' % size) + bytes(size), Inference_Header_Content_Length=str(len(head))),
        "gRPC, many inputs": rpc(field(1, model.encode()) + repeated(b"\x2a\x00", size)),
        "gRPC, many outputs": rpc(field(1, model.encode()) + repeated(b"\x32\x00", size)),
        "gRPC, many raw contents": rpc(field(1, model.encode()) + repeated(b"\x3a\x00", size)),
        "gRPC, a long shape": rpc(field(1, model.encode()) + field(5, field(3, bytes(size)))),
        "gRPC, many small integers": rpc(field(1, model.encode()) + field(5, field(5, field(2, bytes(size))))),
        "gRPC, many empty byte strings": rpc(field(1, model.encode()) + field(5, field(5, repeated(b"\x42\x00", size)))),
        "gRPC, many numbers": rpc(field(1, model.encode()) + field(5, field(1, b"images") + field(5, field(6, bytes(size))))),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--onelook", default="target/release/onelook")
    parser.add_argument("--model", required=True)
    parser.add_argument("--megabytes", type=int, default=60, help="size of a message; the server takes 64")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    report, grown = Report("memory"), {}
    for name, (length, send) in messages("m", arguments.megabytes * 1_000_000).items():

        def measured(name=name, length=length, send=send):
            with Onelook(arguments.onelook, [f"m={arguments.model}"]) as server:
                base = reset_peak(server.process.pid)
                status = send(server)
                grown[name] = peak(server.process.pid) - base
                after = request(f"{server.url}/livez")[0]
            # What is compressed counts by what it becomes: the server bounds that as it bounds a body.
            counted = arguments.megabytes * 1_000_000 if "compressed" in name else length
            bound = 4 * counted + 200_000_000
            told = f"{status}, grew by {grown[name] / 1e6:.0f} MB, allowed {bound / 1e6:.0f}"
            expect(grown[name] <= bound and after == 200, told)
            return told

        report.check(name, measured)
    print(json.dumps({"grown_mb": {name: round(each / 1e6) for name, each in grown.items()}}))
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
