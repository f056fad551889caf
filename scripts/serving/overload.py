"""Overload: ten times the measured capacity, open loop; then a greedy client beside a modest one.

    python3 overload.py --model yolo11n.pt --image bus.jpg

First capacity is measured (16 clients that wait for their answers), then requests are sent at ten times that
rate for a minute, whatever the answers do. Every request has to be answered 200, 429 or 503, the refusals with
Retry-After; the 99th percentile of the accepted within the server's deadline; memory within its bound; latency
back to normal within seconds. Then a client with 64 connections and its own API key asks without pause while
another sends 2 requests a second: the modest one gets all its answers.
"""

import argparse
import asyncio
import math
import os
import pathlib
import shlex
import sys
import tempfile

import environments

environments.enter("load")

import load
from process import MemoryWatch, Onelook
from report import Report, expect

JPEG = {"Content-Type": "image/jpeg"}


def sender(client, url, image, kind="", key=None):
    headers = {**JPEG, **({"X-API-Key": key} if key else {})}

    async def send():
        return await load.ask(client, url, image, headers, kind=kind)

    return send


async def quiet_latency(url, image, count=20):
    """Median seconds of requests sent one after the other."""
    async with load.session() as client:
        outcomes = [await load.ask(client, url, image, JPEG) for _ in range(count)]
    expect(all(each.status == 200 for each in outcomes), f"quiet requests: {load.statuses(outcomes)}")
    return load.percentile([each.seconds for each in outcomes], 0.5)


async def overload(report, server, image, arguments):
    url = f"{server.url}/v1/detect"
    before = await quiet_latency(url, image)
    async with load.session() as client:
        warm = await load.closed_loop(sender(client, url, image), 16, arguments.capacity_seconds)
    capacity = sum(each.status == 200 for each in warm) / arguments.capacity_seconds
    expect(capacity > 0, f"no request was answered: {load.statuses(warm)}")
    base = server.memory()
    rate = arguments.times * capacity
    with MemoryWatch(server) as memory:
        async with load.session() as client:
            outcomes = await load.open_loop(sender(client, url, image), rate, arguments.seconds)
        peak = max(size for _, size in memory.samples)
    recovered = math.inf
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        after = await quiet_latency(url, image, 5)
        if after <= 1.5 * before + 0.02:
            recovered = asyncio.get_running_loop().time() - began
            break
    counts, accepted = load.statuses(outcomes), load.latencies(outcomes)
    reached = len(outcomes) / arguments.seconds
    notes = {
        "capacity_per_second": round(capacity, 1), "sent_per_second": round(reached, 1), "statuses": counts, "accepted": accepted,
        "quiet_median_ms": round(1000 * before, 1), "after_median_ms": round(1000 * after, 1), "recovered_seconds": round(recovered, 2),
        "memory_mb": {"before": base / 1e6, "peak": peak / 1e6, "after": server.memory() / 1e6},
    }  # fmt: skip
    report.notes["overload"] = notes

    def answered():
        expect(set(counts) <= {"200", "429", "503"}, f"{counts}")
        return f"{len(outcomes)} requests: {counts}"

    def retry_after():
        missing = [
            each.status for each in outcomes if each.status in (429, 503) and not each.headers.get("Retry-After")
        ]
        expect(not missing, f"{len(missing)} refusals without Retry-After")

    def offered():
        expect(reached >= 0.8 * rate, f"only {reached:.0f}/s of {rate:.0f}/s were sent: the generator is too slow here")
        return f"{reached:.0f}/s sent, capacity {capacity:.1f}/s"

    def goodput():
        served = accepted["count"] / arguments.seconds
        expect(served >= 0.5 * capacity, f"{served:.1f}/s served under overload, {capacity:.1f}/s before")
        return f"{served:.1f}/s served under overload, {capacity:.1f}/s before"

    def deadline():
        expect(
            accepted.get("p99_ms", math.inf) <= 1000 * arguments.deadline,
            f"{accepted}, deadline {arguments.deadline} s",
        )
        return f"{accepted}"

    def bounded():
        expect(peak - base <= 1e6 * arguments.memory_growth, f"{base / 1e6:.0f} MB grew to {peak / 1e6:.0f} MB")
        return f"{base / 1e6:.0f} MB, at most {peak / 1e6:.0f} MB, {server.memory() / 1e6:.0f} MB after"

    def recovery():
        expect(recovered <= 5, f"median {1000 * after:.0f} ms after, {1000 * before:.0f} ms before")
        return f"median {1000 * after:.0f} ms {recovered:.1f} s after the load, {1000 * before:.0f} ms before it"

    report.check(f"{arguments.times:g} times capacity were really sent", offered)
    report.check("every request is answered 200, 429 or 503", answered)
    report.check("refusals say when to come back", retry_after)
    report.check("the server keeps working at its capacity", goodput)
    report.check("p99 of the accepted within the deadline", deadline)
    report.check("memory is bounded", bounded)
    report.check("latency recovers", recovery)


async def fairness(report, server, image, arguments):
    url = f"{server.url}/v1/detect"
    async with load.session() as greedy, load.session() as modest:
        alone = await load.open_loop(sender(modest, url, image, key="modest-key"), 2, 5)
        hungry = asyncio.ensure_future(
            load.closed_loop(sender(greedy, url, image, key="greedy-key"), arguments.greedy, arguments.fair_seconds)
        )
        await asyncio.sleep(1)
        outcomes = await load.open_loop(sender(modest, url, image, key="modest-key"), 2, arguments.fair_seconds - 2)
        taken = await hungry
    notes = {"modest": load.statuses(outcomes), "modest_latency": load.latencies(outcomes), "modest_alone": load.latencies(alone),
             "greedy": load.statuses(taken), "greedy_latency": load.latencies(taken)}  # fmt: skip
    report.notes["fairness"] = notes

    def all_answers():
        expect(outcomes and all(each.status == 200 for each in outcomes), f"{notes['modest']}")
        return f"{notes['modest_latency']}, alone {notes['modest_alone']}"

    def not_starved():
        slow, other = notes["modest_latency"].get("p50_ms", math.inf), notes["greedy_latency"].get("p50_ms", math.inf)
        expect(slow <= other, f"the modest client waits {slow} ms, the greedy one {other} ms")
        return f"median: modest {slow} ms, greedy {other} ms with {arguments.greedy} connections"

    report.check("the modest client gets all its answers", all_answers)
    report.check("the modest client does not wait longer than the greedy one", not_starved)
    report.check(
        "the greedy client is served or refused",
        lambda: expect(set(notes["greedy"]) <= {"200", "429", "503"}, f"{notes['greedy']}"),
    )


def main():
    parser = load.arguments_of(
        argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    )
    parser.add_argument("--times", type=float, default=10, help="how many times the capacity")
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--capacity-seconds", type=float, default=8, help="to measure the capacity")
    parser.add_argument("--deadline", type=float, default=30, help="the server's deadline for a request, seconds")
    parser.add_argument("--memory-growth", type=float, default=600, help="most growth of memory, MB")
    parser.add_argument("--greedy", type=int, default=64, help="connections of the greedy client")
    parser.add_argument("--fair-seconds", type=float, default=30, help="of the greedy client")
    parser.add_argument("--key-flags", default="--token-file {file}", help="flags that give the server a file of keys")
    parser.add_argument("--only", choices=["overload", "fairness"])
    arguments = parser.parse_args()
    image = pathlib.Path(arguments.image).read_bytes()
    report = Report("overload")
    models, flags = [f"yolo11n={arguments.model}"], shlex.split(arguments.serve_flags)

    def run(scenario, more=()):
        with Onelook(arguments.onelook, models, [*flags, *more], log=arguments.log) as server:
            asyncio.run(scenario(report, server, image, arguments))
            report.check("no panic in the log", lambda: expect("panicked" not in server.log_text(), server.log_tail()))
            report.check("the server is alive", lambda: expect(server.alive(), server.log_tail()))

    if arguments.only != "fairness":
        report.check("the scenario of overload ran", lambda: run(overload))
    if arguments.only != "overload":
        with tempfile.TemporaryDirectory() as folder:
            keys = pathlib.Path(folder) / "keys"
            keys.touch(mode=0o600)
            keys.write_text("greedy greedy-key infer\nmodest modest-key infer\n")
            more = shlex.split(arguments.key_flags.format(file=keys))
            report.check("the scenario of fairness ran", lambda: run(fairness, more))
    report.notes["cores"] = os.cpu_count()
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
