"""SIGHUP, new tokens, a new certificate, logrotate and a full disk, each while clients ask.

    python3 reload.py --model yolo11n.pt --image bus.jpg [--times 100] [--clients 32] [--onelook BINARY]

Clients ask again and again, most for a path with a number of its own, which the log of the server has in a line. No
request may fail, whatever is replaced meanwhile. `create` of logrotate loses no line; `copytruncate` may lose those
that are written between its copy and its truncation, as its manual says, and never leaves a file that begins with
zeros. A disk that is full is a file system of a megabyte where that can be mounted, else /dev/full: it shows in the
metrics, and no request fails by it. Needs openssl, and logrotate, which Debian has as packages.
"""

import argparse
import collections
import contextlib
import http.client
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from process import Onelook, request
from report import Report, Skipped, expect, expect_equal

TOKEN = "kept-token"


class Clients:
    """Threads with a connection each that ask again and again; a context manager that ends them.

    Every 16th request is a detection, the others ask for a path of which the server knows nothing but logs it. A
    connection that the server closes between two requests is opened again, as clients do; anything else is a failure.
    """

    def __init__(self, connect, count, body, token=lambda: TOKEN):
        self.connect, self.body, self.token = connect, body, token
        self.statuses, self.failures = collections.Counter(), []
        self.asked, self.numbers = [], itertools.count()
        self.lock, self.done = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]

    def run(self):
        connection = self.connect()
        while not self.done.is_set():
            number = next(self.numbers)
            headers = {"X-API-Key": self.token()}
            try:
                if number % 16:
                    connection.request("GET", f"/n{number}", headers=headers)
                else:
                    headers["Content-Type"] = "image/jpeg"
                    connection.request("POST", "/v1/detect", self.body, headers)
                answer = connection.getresponse()
                answer.read()
                with self.lock:
                    self.statuses[answer.status] += 1
                    if number % 16:
                        self.asked.append(number)
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
                connection = self.connect()
            time.sleep(0.002)
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def check(self):
        """Fails unless every request was answered: a detection with 200, an unknown path with 404."""
        expect(not self.failures, f"{len(self.failures)} broke off, such as {self.failures[:3]}")
        expect(set(self.statuses) <= {200, 404} and self.statuses[200], f"statuses {dict(self.statuses)}")
        return f"{sum(self.statuses.values())} requests, {self.statuses[200]} of them detections"


def plain(server):
    return lambda: http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)


def encrypted(server, trusted):
    context = ssl.create_default_context(cafile=trusted)
    context.check_hostname = False
    return lambda: http.client.HTTPSConnection("127.0.0.1", server.http_port, timeout=60, context=context)


def hang_up(server):
    os.kill(server.process.pid, signal.SIGHUP)


def metric(server, name):
    text = request(f"{server.url}/metrics", headers={"X-API-Key": TOKEN})[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def wait_for(what, holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < end, f"never: {what}")
        time.sleep(0.05)


def replace(path, text):
    """Writes a file beside it and renames it, so that nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


def certificate(folder, name):
    """A self-signed certificate for localhost and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return [(folder / f"{name}.{end}").read_text() for end in ("crt", "key")]


def served_certificate(server):
    return ssl.get_server_certificate(("127.0.0.1", server.http_port)).strip()


def hangups(arguments, folder, body):
    """SIGHUP again and again, with other tokens each time."""
    tokens = folder / "tokens"
    replace(tokens, f"kept {TOKEN} admin\n")
    with Onelook(arguments.onelook, [f"m={arguments.model}"], ["--token-file", tokens, "--log-dir", folder / "logs"]) as server:
        with Clients(plain(server), arguments.clients, body) as clients:
            for number in range(arguments.times):
                replace(tokens, f"kept {TOKEN} admin\nother{number} secret{number} read\n")
                hang_up(server)
                time.sleep(arguments.pause)
            last = f"secret{arguments.times - 1}"
            ask = lambda token: request(f"{server.url}/v1/models", headers={"X-API-Key": token})[0]
            wait_for("the last token", lambda: ask(last) == 200)
            expect_equal(ask("secret0"), 401, "the status with a token that was taken out")
        expect(metric(server, 'onelook_reloads_total{outcome="ok",what="tokens"}') > 1, "nothing was read again")
        said = clients.check()
        expect(server.alive() and "panicked" not in server.log_text(), server.log_tail())
        return f"{arguments.times} times SIGHUP: {said}"


class EncryptedOnelook(Onelook):
    """Ready once it listens: its certificate is known to nobody but this script."""

    def wait_until_ready(self, url, seconds):
        wait_for("the port", lambda: not socket.socket().connect_ex(("127.0.0.1", self.http_port)), seconds)
        wait_for("readiness", lambda: "model 'm' on" in self.log_text(), seconds)


def certificates(arguments, folder, body):
    """Another certificate, twice, while clients ask over new and old connections."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    kinds = [certificate(folder, name) for name in ("first", "second", "third")]
    trusted = folder / "trusted.pem"
    trusted.write_text("".join(crt for crt, _ in kinds))

    def install(kind):
        replace(chain, kind[0])
        replace(key, kind[1])

    install(kinds[0])
    flags = ["--tls-cert", chain, "--tls-key", key]
    with EncryptedOnelook(arguments.onelook, [f"m={arguments.model}"], flags) as server:
        expect_equal(served_certificate(server), kinds[0][0].strip(), "the certificate at the start")
        with Clients(encrypted(server, trusted), arguments.clients, body) as clients:
            time.sleep(1)
            install(kinds[1])
            hang_up(server)
            wait_for("the second certificate", lambda: served_certificate(server) == kinds[1][0].strip())
            install(kinds[2])
            wait_for("the third, without a signal", lambda: served_certificate(server) == kinds[2][0].strip())
            time.sleep(1)
        return f"two new certificates, one of them without a signal: {clients.check()}"


def logged(folder):
    """Numbers of the requests in all log files, and whether a file has a zero byte."""
    numbers, zeros = collections.Counter(), []
    for path in folder.iterdir():
        text = path.read_bytes()
        if b"\0" in text:
            zeros.append(path.name)
        numbers.update(int(number) for number in re.findall(rb'"path":"/n(\d+)"', text))
    return numbers, zeros


def rotation(arguments, folder, body, way):
    """logrotate itself, again and again; the lines that are missing or there twice."""
    program = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Skipped("there is no logrotate")
    logs = folder / f"logs-{way}"
    with Onelook(arguments.onelook, [f"m={arguments.model}"], ["--log-dir", logs]) as server:
        rule = f"{logs}/onelook.????-??-??.log {{\n  rotate 1000\n  size 1\n  {way}\n"
        if way == "create":
            rule += f"  postrotate\n    kill -HUP {server.process.pid}\n  endscript\n"
        rules = folder / f"rules-{way}"
        rules.write_text(rule + "}\n")
        rules.chmod(0o644)
        command = [program, "--force", "--state", folder / f"state-{way}", rules]
        with Clients(plain(server), arguments.clients, body) as clients:
            for _ in range(arguments.rotations):
                time.sleep(0.5)
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                expect(done.returncode == 0, f"logrotate: {done.stderr}")
            time.sleep(0.5)
        said = clients.check()
        expect_equal(metric(server, "onelook_log_lines_dropped_total"), 0, "dropped lines")
        expect_equal(metric(server, "onelook_log_write_errors_total"), 0, "lines that could not be written")
    numbers, zeros = logged(logs)
    lost = sorted(set(clients.asked) - set(numbers))
    missing = len(lost)
    # Lines that were written about the same time have numbers that are near each other.
    bursts = sum(number - before > 4 * arguments.clients for before, number in zip([-sys.maxsize, *lost], lost))
    twice = sum(count > 1 for count in numbers.values())
    told = f"{arguments.rotations} rotations, {len(clients.asked)} lines, {missing} missing in {bursts} bursts, {twice} twice; {said}"
    expect(not zeros, f"zeros in {zeros}")
    if way == "create":
        expect(missing == twice == 0, told)
    else:
        # What copytruncate loses is written between its copy and its truncation: one burst for each.
        expect(twice == 0 and bursts <= arguments.rotations and missing <= len(clients.asked) / 10, told)
    return told


def full_disk(arguments, folder, body):
    logs, mounted = folder / "full", False
    logs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", logs]
    with contextlib.suppress(OSError):
        mounted = subprocess.run(list(map(str, mount)), capture_output=True).returncode == 0
    try:
        with Onelook(arguments.onelook, [f"m={arguments.model}"], ["--log-dir", logs]) as server:
            if not mounted:
                (log,) = logs.iterdir()
                log.unlink()
                log.symlink_to("/dev/full")
                hang_up(server)
            with Clients(plain(server), arguments.clients, body) as clients:
                wait_for("the metric", lambda: metric(server, "onelook_log_write_errors_total") > 0, 120)
                time.sleep(2)
            said = clients.check()
            failed = metric(server, "onelook_log_write_errors_total")
            told = server.log_text().count("No space left on device")
            expect_equal(told, 1, "how often the other log tells of it")
    finally:
        if mounted:
            subprocess.run(["umount", str(logs)], check=True)
    return f"{'a file system of 1 MB' if mounted else '/dev/full'}: {failed:.0f} lines counted, {said}"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", default=root / "target/release/onelook", help="the binary")
    parser.add_argument("--model", required=True, help="the .pt to serve")
    parser.add_argument("--image", required=True, help="a JPEG")
    parser.add_argument("--times", type=int, default=100, help="how often SIGHUP is sent")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two signals")
    parser.add_argument("--rotations", type=int, default=20)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    report, body = Report("reload"), pathlib.Path(arguments.image).read_bytes()
    with tempfile.TemporaryDirectory(prefix="onelook-reload-") as name:
        folder = pathlib.Path(name)
        # logrotate refuses directories that others can write.
        folder.chmod(0o755)
        report.check("no request fails by SIGHUP and new tokens", lambda: hangups(arguments, folder, body))
        report.check("a new certificate is served without a restart", lambda: certificates(arguments, folder, body))
        report.check("logrotate: create", lambda: rotation(arguments, folder, body, "create"))
        report.check("logrotate: copytruncate", lambda: rotation(arguments, folder, body, "copytruncate"))
        report.check("a full disk", lambda: full_disk(arguments, folder, body))
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
