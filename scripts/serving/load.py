"""Load on a server from one asyncio loop: single requests, open loops (a fixed rate) and closed loops.

An open loop sends at its rate whatever the answers do, as the world outside does; a closed loop waits for each
answer. Every request ends as an `Outcome`; a connection that breaks is an outcome too, never an exception.
"""

import asyncio
import collections
import json
import pathlib
import time

import aiohttp


class Outcome:
    """`status` is the HTTP status, or 0 with the reason in `error`; times in seconds."""

    __slots__ = ("sent", "seconds", "status", "error", "body", "headers", "kind")

    def __init__(self, sent, seconds, status, error="", body=b"", headers=None, kind=""):
        self.sent, self.seconds, self.status, self.error = sent, seconds, status, error
        self.body, self.headers, self.kind = body, headers or {}, kind


def session(connections=0, timeout=120):
    """A client session; 0 connections means as many as are needed."""
    limits = aiohttp.ClientTimeout(total=timeout)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=limits)


async def ask(client, url, data=None, headers=None, method="POST", kind="", keep_body=False):
    start = time.monotonic()
    try:
        async with client.request(method, url, data=data, headers=headers) as answer:
            body = await answer.read()
            taken = time.monotonic() - start
            return Outcome(start, taken, answer.status, "", body if keep_body else b"", answer.headers, kind)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        return Outcome(start, time.monotonic() - start, 0, f"{type(error).__name__}: {error}", kind=kind)


async def open_loop(send, rate, seconds):
    """Calls `send` `rate` times a second, waits for what is left at the end; the outcomes."""
    waiting, outcomes = set(), []

    def finished(task):
        waiting.discard(task)
        outcomes.append(task.result())

    begin, number = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        while number <= now * rate:
            task = asyncio.ensure_future(send())
            waiting.add(task)
            task.add_done_callback(finished)
            number += 1
        await asyncio.sleep(min(0.005, 1 / rate))
    if waiting:
        await asyncio.wait(waiting)
    await asyncio.sleep(0)
    return outcomes


async def closed_loop(send, clients, seconds):
    """`clients` callers, each asks again as soon as it has its answer; the outcomes."""
    end, outcomes = time.monotonic() + seconds, []

    async def one():
        while time.monotonic() < end:
            outcomes.append(await send())

    await asyncio.gather(*(one() for _ in range(clients)))
    return outcomes


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def statuses(outcomes):
    """Counter of statuses; what broke is counted by its reason."""
    return dict(collections.Counter(str(each.status) if each.status else each.error[:80] for each in outcomes))


def latencies(outcomes):
    """Figures of the requests that were answered 200, in milliseconds."""
    times = [1000 * each.seconds for each in outcomes if each.status == 200]
    return (
        {"count": len(times), "p50_ms": round(percentile(times, 0.5), 1), "p99_ms": round(percentile(times, 0.99), 1)}
        if times
        else {"count": 0}
    )


def detections(body):
    """The boxes of an answer of /v1/detect, for comparison."""
    return json.loads(body)["images"][0]["detections"]


def same_detections(got, wanted, pixels=0.05, score=1e-3):
    if len(got) != len(wanted):
        return False
    return all(
        a["class"] == b["class"]
        and abs(a["confidence"] - b["confidence"]) <= score
        and all(abs(a["box"][key] - b["box"][key]) <= pixels for key in ("x1", "y1", "x2", "y2"))
        for a, b in zip(got, wanted)
    )


def arguments_of(parser):
    """The flags that every load script has."""
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser.add_argument("--onelook", default=root / "target/release/onelook", help="the binary")
    parser.add_argument("--model", required=True, help="the .pt to serve, as yolo11n")
    parser.add_argument("--image", required=True, help="a JPEG")
    parser.add_argument("--serve-flags", default="", help="more flags for onelook serve, in one string")
    parser.add_argument("--log", help="file for the server's log")
    parser.add_argument("--json", help="file to write")
    return parser
