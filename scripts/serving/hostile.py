"""Connections that do nothing or little, while others ask: the server goes on, memory bounded.

    python3 hostile.py --model yolo11n.pt --image bus.jpg

10,000 idle connections; hundreds that send a request's head a byte at a time; hundreds that send a body a byte
at a time. Beside each, ordinary requests have to be answered as quickly as before, give or take; the slow ones
have to be told off (408) or cut off within --patience seconds; afterwards the server is as it was. Raises its own limit of
open files, which the server inherits; --server-files lowers it for the server alone.
"""

import argparse
import asyncio
import math
import pathlib
import resource
import shlex
import sys
import time

import environments

environments.enter("load")

import load
from process import MemoryWatch, Onelook
from report import Report, Skipped, expect

JPEG = {"Content-Type": "image/jpeg"}


async def ordinary(server, image, count=10):
    """Requests as anybody would send them, each on a connection of its own: (statuses, median seconds)."""
    outcomes = []
    for _ in range(count):
        async with load.session(timeout=30) as client:
            outcomes.append(await load.ask(client, f"{server.url}/v1/detect", image, JPEG))
    return load.statuses(outcomes), load.percentile([each.seconds for each in outcomes], 0.5)


async def connect(server, count):
    """As many open connections as can be had, the reasons of the others."""
    opened, failed = [], {}
    for first in range(0, count, 250):
        batch = [asyncio.open_connection("127.0.0.1", server.http_port) for _ in range(min(250, count - first))]
        for each in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(each, BaseException):
                failed[type(each).__name__] = failed.get(type(each).__name__, 0) + 1
            else:
                opened.append(each)
    return opened, failed


def close(connections):
    for _, writer in connections:
        writer.transport.abort()


async def drip(connection, trickle, begin, patience):
    """Sends a byte a second; ends with (seconds until the server ended it, what it said)."""
    reader, writer = connection
    said = b""
    try:
        for index in range(len(trickle)):
            writer.write(trickle[index : index + 1])
            await writer.drain()
            try:
                said += await asyncio.wait_for(reader.read(1000), 1.0)
                return time.monotonic() - begin, said
            except asyncio.TimeoutError:
                pass
            if time.monotonic() - begin > patience:
                return math.inf, said
    except OSError as error:
        return time.monotonic() - begin, type(error).__name__.encode()
    return math.inf, said


async def slow(server, image, count, kind, patience):
    """Slow heads or slow bodies, and ordinary requests meanwhile."""
    opened, failed = await connect(server, count)
    begin = time.monotonic()
    head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    if kind == "bodies":
        for _, writer in opened:
            writer.write(head + b"Content-Length: 100000\r\n\r\n")
        trickle = bytes(300)
    else:
        trickle = head + b"X-Slow: " + b"a" * 200
    drips = [asyncio.ensure_future(drip(each, trickle, begin, patience)) for each in opened]
    await asyncio.sleep(2)
    statuses, median = await ordinary(server, image)
    ended = await asyncio.gather(*drips)
    close(opened)
    return {"opened": len(opened), "failed": failed, "ordinary": statuses, "median_ms": 1000 * median,
            "last_ended_after": max(at for at, _ in ended), "said": sorted({said[:60].split(b"\r\n")[0].decode(errors="replace") for _, said in ended})}  # fmt: skip


async def scenario(report, server, image, arguments):
    await ordinary(server, image, 5)
    statuses, before = await ordinary(server, image)
    expect(set(statuses) == {"200"}, f"ordinary requests before: {statuses}")
    base = server.memory()
    allowed = 3 * before + 0.1

    with MemoryWatch(server) as memory:
        opened, failed = await connect(server, arguments.idle)
        idle_memory = server.memory()
        statuses, median = await ordinary(server, image)
        live = await still_open(opened)
        close(opened)

        def idle():
            expect(not failed, f"{len(opened)} opened, failed {failed}")
            expect(set(statuses) == {"200"}, f"ordinary requests beside them: {statuses}")
            expect(median <= allowed, f"median {1000 * median:.0f} ms beside them, {1000 * before:.0f} ms before")
            return f"{len(opened)} opened, {live} still open after the check; median {1000 * median:.0f} ms ({1000 * before:.0f} ms before); {(idle_memory - base) / max(1, len(opened)) / 1e3:.1f} kB each"

        report.check(f"{arguments.idle} idle connections", idle)
        await asyncio.sleep(1)
        for kind in ("heads", "bodies"):
            got = await slow(server, image, arguments.slow, kind, arguments.patience)
            report.notes[f"slow {kind}"] = got

            def judged(got=got):
                expect(not got["failed"], f"could not connect: {got}")
                expect(set(got["ordinary"]) == {"200"}, f"ordinary requests beside them: {got}")
                expect(got["median_ms"] <= 1000 * allowed, f"{got}, {1000 * before:.0f} ms before")
                expect(got["last_ended_after"] <= arguments.patience, f"still open after {arguments.patience} s: {got}")
                return str(got)

            report.check(f"{arguments.slow} slow {kind}", judged)
    peak = max(size for _, size in memory.samples)
    for _ in range(5):
        statuses, after = await ordinary(server, image)
        if set(statuses) != {"200"} or after <= 1.5 * before + 0.02:
            break
        await asyncio.sleep(1)
    report.notes["memory_mb"] = {"before": base / 1e6, "peak": peak / 1e6, "after": server.memory() / 1e6}

    def bounded():
        expect(peak - base <= 1e6 * arguments.memory_growth, f"{base / 1e6:.0f} MB grew to {peak / 1e6:.0f} MB")
        return f"{base / 1e6:.0f} MB before, at most {peak / 1e6:.0f} MB, {server.memory() / 1e6:.0f} MB after"

    def as_before():
        expect(
            set(statuses) == {"200"} and after <= 1.5 * before + 0.02,
            f"{statuses}, median {1000 * after:.0f} ms, {1000 * before:.0f} ms before",
        )
        return f"median {1000 * after:.0f} ms, {1000 * before:.0f} ms before"

    report.check("memory is bounded", bounded)
    report.check("afterwards as before", as_before)


async def still_open(connections):
    """How many the server has not ended; those that it has are at their end."""
    await asyncio.sleep(0)
    return sum(not reader.at_eof() for reader, _ in connections)


def raise_limit(wanted):
    """Open files for this process and those it starts."""
    low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
    if low < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(high, wanted)))
        except (ValueError, OSError) as error:
            raise Skipped(f"{wanted} open files are needed, {high} allowed: {error}") from error


def main():
    parser = load.arguments_of(
        argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    )
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--slow", type=int, default=400, help="slow connections of each kind")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds within which the slow ones have to be ended"
    )
    parser.add_argument("--memory-growth", type=float, default=400, help="most growth of memory, MB")
    parser.add_argument("--server-files", type=int, help="limit of open files of the server [default: as raised here]")
    arguments = parser.parse_args()
    report = Report("hostile")

    def run():
        raise_limit(arguments.idle + 4096)
        flags = shlex.split(arguments.serve_flags)
        with Onelook(arguments.onelook, [f"yolo11n={arguments.model}"], flags, log=arguments.log) as server:
            if arguments.server_files:
                resource.prlimit(
                    server.process.pid, resource.RLIMIT_NOFILE, (arguments.server_files, arguments.server_files)
                )
            asyncio.run(scenario(report, server, pathlib.Path(arguments.image).read_bytes(), arguments))
            report.check("no panic in the log", lambda: expect("panicked" not in server.log_text(), server.log_tail()))
            report.check("the server is alive", lambda: expect(server.alive(), server.log_tail()))

    report.check("the scenario ran", run)
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
