"""nginx in front, with its own compression on and off, with its buffers on and off: docs/nginx.conf as it is, but for ports.

    python3 proxy.py --model yolo11n.pt --image bus.jpg [--nginx /usr/sbin/nginx] [--onelook BINARY]

Answers, conditional requests, compressed pages, slow uploads and gRPC must be as without it; whose request it passes
on is read from its header only, and pages of other sites are refused as before.
"""

import argparse
import gzip
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import environments

environments.enter("load")

import grpc

from process import Onelook, free_ports
from report import Report, expect, expect_equal

SITE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "nginx.conf"
JPEG = {"Content-Type": "image/jpeg"}


def site(http, plain, upstream, compresses, buffers):
    """docs/nginx.conf with other ports; the changes that a variant asks for."""
    text = SITE.read_text()
    for old, new in [("127.0.0.1:8000", f"127.0.0.1:{upstream}"), ("listen 8080;", f"listen {plain}; listen {http} http2;")]:
        expect(old in text, f"'{old}' is not in {SITE.name}")
        text = text.replace(old, new)
    if buffers:
        text = text.replace("proxy_request_buffering off;", "")
    else:
        text = text.replace("proxy_request_buffering off;", "proxy_request_buffering off; proxy_buffering off;")
    types = "gzip_types application/json text/css text/javascript application/javascript image/svg+xml;"
    return text.replace("server_name", f"gzip {'on' if compresses else 'off'}; {types} gzip_proxied any; server_name")


class Nginx:
    """One nginx in the foreground with a folder of its own."""

    def __init__(self, program, text):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nginx-"))
        self.folder.chmod(0o755)  # nginx's workers are another user
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = f"""daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ }} http {{ access_log off; {temporary} {text} }}"""
        (self.folder / "nginx.conf").write_text(main)
        self.process = subprocess.Popen([program, "-p", self.folder, "-c", self.folder / "nginx.conf"])

    def wait(self, port):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                return ask(port, "GET", "/livez")
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError("nginx ended; its reason is above") from None
                time.sleep(0.05)
        raise AssertionError("nginx does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def ask(port, method, path, body=None, headers=None, source=None):
    """(status, headers, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=source and (source, 0))
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def boxes(body):
    return [image["detections"] for image in json.loads(body)["images"]]


def slowly(image, rate):
    """The image at so many bytes a second."""
    for start in range(0, len(image), rate // 10):
        time.sleep(0.1)
        yield image[start : start + rate // 10]


def page(port, direct):
    """The page and all that it names, plain and compressed, as without the proxy; then again, unchanged."""
    paths, seen, compressed, unchanged = ["/"], {"/"}, 0, 0
    while paths:
        path = paths.pop()
        wanted = ask(direct, "GET", path)[2]
        status, headers, body = ask(port, "GET", path)
        expect(status == 200 and body == wanted, f"plain {path}: {status}, {len(body)} of {len(wanted)} bytes")
        status, headers, body = ask(port, "GET", path, headers={"Accept-Encoding": "gzip"})
        if headers.get("Content-Encoding") == "gzip":
            compressed += 1
            expect("accept-encoding" in (headers.get("Vary") or "").lower(), f"{path} varies by encoding, but says so nowhere")
            body = gzip.decompress(body)
        expect(status == 200 and body == wanted, f"compressed {path}: {status}, {len(body)} of {len(wanted)} bytes")
        tag = headers.get("ETag")
        if tag:
            for known in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
                again = ask(port, "GET", path, headers={"Accept-Encoding": "gzip", "If-None-Match": known})
                expect_equal((again[0], len(again[2])), (304, 0), f"{path} with If-None-Match: {known}")
            unchanged += 1
        for found in re.findall(r'(?:from|src=|href=|import)\s*"(\.?/[^"#]+)"', wanted.decode(errors="replace")):
            inner = "/ui/" + found[2:] if found.startswith("./") and not path.endswith("/") else found
            inner = path.rsplit("/", 1)[0] + found[1:] if found.startswith("./") else inner
            if inner not in seen and not inner.startswith(("/v", "/metrics")):
                seen.add(inner)
                paths.append(inner)
    expect(len(seen) > 20, f"only {len(seen)} files of the page")
    expect(compressed > 20, f"only {compressed} of {len(seen)} files came compressed")
    return f"{len(seen)} files, {compressed} compressed, {unchanged} unchanged by their ETag"


def variant(report, name, ports, direct, image, log):
    plain, http2 = ports
    wanted = boxes(ask(direct, "POST", "/v1/detect", image, JPEG)[2])

    def detects():
        for headers in (JPEG, {**JPEG, "Accept-Encoding": "gzip"}):
            status, got, body = ask(plain, "POST", "/v1/detect", image, headers)
            body = gzip.decompress(body) if got.get("Content-Encoding") == "gzip" else body
            expect_equal((status, boxes(body)), (200, wanted), "boxes")

    def slow():
        rate = max(80_000, len(image) // 5)
        status, _, body = ask(plain, "POST", "/v1/detect", slowly(image, rate), {**JPEG, "Content-Length": str(len(image))})
        expect_equal((status, boxes(body)), (200, wanted), "boxes")

    def clients():
        for source in ("127.0.0.2", "127.0.0.3"):
            mark = f"from-{source}-{plain}"
            ask(plain, "GET", "/v1/models", headers={"X-Forwarded-For": "8.8.8.8", "X-Request-Id": mark}, source=source)
            end, lines = time.monotonic() + 5, []
            while not lines and time.monotonic() < end:
                lines = [line for line in log().splitlines() if mark in line]
                time.sleep(0.05)
            expect(any(f"peer={source}" in line.replace('"', "") for line in lines), f"{source} in {lines}")

    def other_sites():
        own = ask(plain, "POST", "/v1/detect", image, {**JPEG, "Origin": f"http://127.0.0.1:{plain}"})
        other = ask(plain, "POST", "/v1/detect", image, {**JPEG, "Origin": "http://evil.example"})
        named = ask(plain, "GET", "/v1/models", headers={"Host": "cam.example"})
        foreign = ask(plain, "GET", "/v1/models", headers={"Host": "evil.example"})
        expect_equal([own[0], other[0], named[0], foreign[0]], [200, 403, 200, 403], "statuses")

    def grpc_calls():
        with grpc.insecure_channel(f"127.0.0.1:{http2}") as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ServerReady", None, None)
            expect_equal(call(b"", timeout=20), b"\x08\x01", "ServerReady")

    for check, action in [
        ("the page", lambda: page(plain, direct)),
        ("boxes", detects),
        ("an upload at 80 kB/s", slow),
        ("whose request it is", clients),
        ("pages of other sites", other_sites),
        ("gRPC", grpc_calls),
    ]:
        report.check(f"{name}: {check}", action)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", default="target/release/onelook")
    parser.add_argument("--nginx", default=shutil.which("nginx") or "/usr/sbin/nginx")
    parser.add_argument("--model", required=True)
    parser.add_argument("--image", required=True, type=pathlib.Path)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    report = Report("proxy")
    extra = ["--trusted-proxy", "127.0.0.1", "--allow-host", "cam.example"]
    with Onelook(arguments.onelook, [arguments.model], extra) as server:
        for compresses in (False, True):
            for buffers in (True, False):
                name = f"gzip {'on' if compresses else 'off'}, buffers {'on' if buffers else 'off'}"
                plain, http2 = free_ports(2)
                nginx = Nginx(arguments.nginx, site(http2, plain, server.http_port, compresses, buffers))
                try:
                    nginx.wait(plain)
                    variant(report, name, (plain, http2), server.http_port, arguments.image.read_bytes(), server.log_text)
                finally:
                    nginx.stop()
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
