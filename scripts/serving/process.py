"""Servers that the outside checks start and end: free ports, readiness, a log file, memory samples.

A server that was started here is ended here, by its process id. Only the standard library is used.
"""

import atexit
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request


class Ended(Exception):
    """The server did not become ready, or ended by itself; the message has the end of its log."""


def free_ports(count):
    """Ports of the loopback interface that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def request(url, data=None, headers=None, method=None, timeout=60):
    """(status, headers, body) of one request, also for an error status."""
    asked = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def memory_bytes(pid):
    """Resident memory of a process and of all its children."""
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{each}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            fields = pathlib.Path(f"/proc/{each}/statm").read_text().split()
            total += int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


class Server:
    """One server process with its log; a context manager that ends it."""

    def __init__(self, command, ready_url, name="server", environment=None, log=None, ready_seconds=120):
        self.name = name
        self.command = list(map(str, command))
        self.log = pathlib.Path(log or tempfile.mkstemp(prefix=f"{name}-", suffix=".log")[1])
        self.log_file = open(self.log, "wb")
        started = time.perf_counter()
        self.process = subprocess.Popen(
            self.command, stdout=self.log_file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        atexit.register(self.stop)
        self.wait_until_ready(ready_url, ready_seconds)
        self.ready_after = time.perf_counter() - started

    def wait_until_ready(self, url, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Ended(f"{self.name} ended with {self.process.returncode}: {self.log_tail()}")
            with contextlib.suppress(OSError):
                if request(url, timeout=2)[0] == 200:
                    return
            time.sleep(0.05)
        self.stop()
        raise Ended(f"{self.name} was not ready after {seconds} s: {self.log_tail()}")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def log_tail(self, characters=800):
        return self.log_text()[-characters:].strip()

    def alive(self):
        return self.process.poll() is None

    def memory(self):
        return memory_bytes(self.process.pid)

    def stop(self):
        """Asks the process to end, then its whole session; the exit status, None if it had to be killed."""
        atexit.unregister(self.stop)
        status = self.process.poll()
        if status is None:
            self.process.terminate()
            try:
                status = self.process.wait(20)
            except subprocess.TimeoutExpired:
                status = None
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log_file.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Onelook(Server):
    """`onelook serve` on free ports of the loopback interface."""

    def __init__(self, binary, models, extra=(), ready_seconds=120, log=None):
        self.http_port, self.grpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.grpc = f"127.0.0.1:{self.grpc_port}"
        command = [binary, "serve", "--host", "127.0.0.1", "--port", self.http_port, "--grpc-port", self.grpc_port]
        for model in models:
            command += ["--model", model]
        ready = f"{self.url}/readyz"
        super().__init__([*command, *extra], ready, "onelook", log=log, ready_seconds=ready_seconds)

    def status(self):
        return json.loads(request(f"{self.url}/v1/status")[2])


class MemoryWatch(threading.Thread):
    """Samples a server's memory until it is stopped: `samples` are (seconds, bytes)."""

    def __init__(self, server, interval=0.5):
        super().__init__(daemon=True)
        self.server, self.interval, self.samples = server, interval, []
        self.done = threading.Event()
        self.begin = time.monotonic()

    def run(self):
        while not self.done.wait(self.interval):
            self.samples.append((time.monotonic() - self.begin, self.server.memory()))

    def stop(self):
        self.done.set()
        self.join()
        return self.samples

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def slope_per_minute(samples):
    """Least-squares growth of memory samples in bytes per minute; 0 for fewer than two."""
    if len(samples) < 2:
        return 0.0
    middle = sum(at for at, _ in samples) / len(samples)
    mean = sum(size for _, size in samples) / len(samples)
    spread = sum((at - middle) ** 2 for at, _ in samples)
    return 60 * sum((at - middle) * (size - mean) for at, size in samples) / spread if spread else 0.0
