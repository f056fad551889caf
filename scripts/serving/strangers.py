"""Clients without a token that do everything wrong, beside one honest client that has one.

    python3 strangers.py --model yolo11n.pt --image bus.jpg [--minutes 10] [--onelook BINARY]

64 connections at a time, mixed: half-sent bodies, heads and bodies a byte at a time, forms and messages that would grow
in memory, answers that are not read, idle connections, wrong tokens as fast as they are refused, broken HTTP/2, pages of
other sites. The honest client's p99 may be three times what it is alone, the server's memory may grow by what
--max-memory and --max-working-memory allow, and a minute later nothing may be left: no connection, no memory held.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from process import MemoryWatch, Onelook, request
from report import Report, expect

TOKEN = "honest-token"
HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{more}Content-Length: {length}\r\n\r\n"
LARGE = 60_000_000


def head(path="/v1/detect", kind="image/jpeg", length=LARGE, more=""):
    return HEAD.format(path=path, kind=kind, length=length, more=more).encode()


async def drip(writer, data, pause):
    for index in range(len(data)):
        writer.write(data[index : index + 1])
        await writer.drain()
        await asyncio.sleep(pause)


async def half_body(_, writer):
    writer.write(head() + bytes(1 << 20))
    await writer.drain()
    await asyncio.sleep(30)


async def half_form(_, writer):
    part = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    writer.write(head("/v1/vision/detection", "multipart/form-data; boundary=X") + part + bytes(1 << 20))
    await writer.drain()
    await asyncio.sleep(30)


async def slow_head(_, writer):
    await drip(writer, head() + b"x" * 20, 0.5)


async def slow_body(_, writer):
    writer.write(head())
    await drip(writer, bytes(60), 0.5)


async def growing_json(_, writer):
    writer.write(head(kind="application/json", length=20_000_000) + b'{"conf":[' + b"0," * 9_000_000)
    await writer.drain()
    await asyncio.sleep(5)


async def unread(_, writer):
    for _ in range(2000):
        writer.write(b"GET /ui/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await writer.drain()
    await asyncio.sleep(30)


async def idle(_, writer):
    await asyncio.sleep(30)


async def wrong_tokens(reader, writer):
    for _ in range(50):
        writer.write(head(length=5, more="Authorization: Bearer wrong\r\n") + b"12345")
        await writer.drain()
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.sleep(0.05)


async def broken_http2(_, writer):
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(4000))
    await writer.drain()
    await asyncio.sleep(2)


async def other_site(reader, writer):
    for _ in range(20):
        more = "Origin: https://evil.example\r\n"
        writer.write(head("/v1/models/m/unload", "application/json", 0, more))
        await writer.drain()
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.sleep(0.05)


KINDS = [half_body, half_form, slow_head, slow_body, growing_json, unread, idle, wrong_tokens, broken_http2, other_site]


async def stranger(number, port, end):
    """One connection after the other, each of the next kind."""
    while time.monotonic() < end:
        kind = KINDS[number % len(KINDS)]
        number += 1
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.wait_for(kind(reader, writer), max(0.1, min(40, end - time.monotonic())))
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await asyncio.sleep(0.1)
        finally:
            if writer:
                writer.transport.abort()


async def strangers(port, seconds, count):
    end = time.monotonic() + seconds
    await asyncio.gather(*(stranger(number, port, end) for number in range(count)))


def honest(url, body, seconds):
    """Latencies of an honest client that asks again and again, and its statuses."""
    headers = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {TOKEN}"}
    latencies, statuses, end = [], {}, time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        status = request(f"{url}/v1/detect", body, headers)[0]
        latencies.append(time.monotonic() - begin)
        statuses[status] = statuses.get(status, 0) + 1
        time.sleep(0.02)
    latencies.sort()
    return {"p50": latencies[len(latencies) // 2], "p99": latencies[len(latencies) * 99 // 100], "statuses": statuses}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--onelook", default="target/release/onelook")
    parser.add_argument("--model")
    parser.add_argument("--image")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seconds = 60 * arguments.minutes
    if arguments.port:
        # The strangers have a process of their own, which leaves the processor to the other two.
        os.nice(19)
        return asyncio.run(strangers(arguments.port, seconds, arguments.count))
    report = Report("strangers")

    def run():
        body = pathlib.Path(arguments.image).read_bytes()
        with tempfile.NamedTemporaryFile("w", suffix=".tokens") as tokens:
            tokens.write(f"honest {TOKEN} admin\n")
            tokens.flush()
            with Onelook(arguments.onelook, [f"m={arguments.model}"], ["--token-file", tokens.name]) as server:

                def connections():
                    text = request(f"{server.url}/metrics", None, {"X-API-Key": TOKEN})[2].decode()
                    return int(next(line for line in text.splitlines() if line.startswith("onelook_connections ")).split()[1])

                honest(server.url, body, 3)
                alone, base = honest(server.url, body, 20), server.memory()
                command = [sys.executable, __file__, "--port", str(server.http_port), "--minutes", str(arguments.minutes), "--count", str(arguments.count)]
                crowd = subprocess.Popen(command)
                with MemoryWatch(server) as memory:
                    beside = honest(server.url, body, seconds)
                crowd.wait()
                grown = max(value for _, value in memory.samples) - base
                print(json.dumps({"alone": alone, "beside": beside, "grown_mb": round(grown / 1e6)}))
                report.check("every honest request is answered", lambda: expect(set(beside["statuses"]) == {200}, str(beside["statuses"])))
                ratio = beside["p99"] / alone["p99"]
                told = f"p99 {1e3 * beside['p99']:.0f} ms beside them, {1e3 * alone['p99']:.0f} ms alone: {ratio:.1f} times; p50 {1e3 * beside['p50']:.0f} and {1e3 * alone['p50']:.0f} ms"
                report.check("p99 at most 3 times that alone", lambda: (expect(ratio <= 3, told), told)[1])
                report.check("memory", lambda: (expect(grown <= 1_700_000_000, f"grew by {grown / 1e6:.0f} MB"), f"grew by {grown / 1e6:.0f} MB")[1])
                time.sleep(60)
                left = connections()
                report.check("nothing is left a minute later", lambda: (expect(left <= 2, f"{left} connections"), f"{left} connections, memory {(server.memory() - base) / 1e6:+.0f} MB")[1])

    report.check("the scenario ran", run)
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
