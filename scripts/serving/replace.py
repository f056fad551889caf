"""Replaces a model again and again while clients ask: no failed request, memory flat.

    python3 replace.py --model yolo11n.pt --image bus.jpg --times 50

`POST /v1/models/yolo11n/load` reads the file anew; the old version serves until the new one is ready and
finishes what it accepted. Each answer has to have the boxes of the first one.
"""

import argparse
import asyncio
import json
import pathlib
import shlex
import sys

import environments

environments.enter("load")

import load
from process import Onelook
from report import Report, expect, expect_equal


async def scenario(report, server, image, arguments):
    url, headers = f"{server.url}/v1/detect", {"Content-Type": "image/jpeg"}
    outcomes, memory, loads = [], [], []
    async with load.session() as client:
        first = await load.ask(client, url, image, headers, keep_body=True)
        expect_equal(first.status, 200, "status before")
        wanted, wrong = load.detections(first.body), 0
        going = True

        async def asking():
            nonlocal wrong
            while going:
                each = await load.ask(client, url, image, headers, keep_body=True)
                if each.status == 200:
                    wrong += not load.same_detections(load.detections(each.body), wanted)
                each.body = b""
                outcomes.append(each)

        callers = [asyncio.ensure_future(asking()) for _ in range(arguments.clients)]
        await asyncio.sleep(1)
        for _ in range(arguments.times):
            one = await load.ask(client, f"{server.url}/v1/models/yolo11n/load", keep_body=True)
            loads.append(one)
            memory.append(server.memory())
            await asyncio.sleep(arguments.pause)
        going = False
        await asyncio.gather(*callers)
    counts = load.statuses(outcomes)
    tail = max(5, arguments.times // 5)
    early, late = (
        sorted(memory[tail : 2 * tail])[tail // 2] if len(memory) > 2 * tail else memory[0],
        sorted(memory[-tail:])[tail // 2],
    )
    report.notes = {
        "requests": counts,
        "latency": load.latencies(outcomes),
        "load": load.latencies(loads),
        "memory_mb": [size / 1e6 for size in memory],
    }

    def loaded():
        expect_equal(load.statuses(loads), {"200": arguments.times}, "answers to load")
        states = {json.loads(each.body)["state"] for each in loads}
        expect_equal(states, {"ready"}, "states")
        versions = [json.loads(each.body)["version"] for each in loads]
        expect_equal(len(set(versions)), arguments.times, "different versions")
        return f"{arguments.times} loads, {load.latencies(loads)}, version {versions[-1]}"

    def answered():
        expect_equal(set(counts), {"200"}, f"statuses {counts}: set")
        return f"{counts['200']} requests, {load.latencies(outcomes)}"

    def flat():
        allowed = max(0.05 * early, 1e6 * arguments.memory_growth)
        expect(late - early <= allowed, f"{early / 1e6:.1f} MB grew to {late / 1e6:.1f} MB")
        return f"{early / 1e6:.1f} MB after a fifth of the loads, {late / 1e6:.1f} MB at the end, at most {max(memory) / 1e6:.1f} MB"

    report.check("every load succeeds", loaded)
    report.check("no request fails", answered)
    report.check("the same boxes throughout", lambda: expect_equal(wrong, 0, "answers with other boxes"))
    report.check("memory is flat", flat)


def main():
    parser = load.arguments_of(
        argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    )
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between loads")
    parser.add_argument("--memory-growth", type=float, default=24, help="most growth of memory, MB")
    arguments = parser.parse_args()
    report = Report("replace")

    def run():
        flags = shlex.split(arguments.serve_flags)
        with Onelook(arguments.onelook, [f"yolo11n={arguments.model}"], flags, log=arguments.log) as server:
            asyncio.run(scenario(report, server, pathlib.Path(arguments.image).read_bytes(), arguments))
            report.check("no panic in the log", lambda: expect("panicked" not in server.log_text(), server.log_tail()))

    report.check("the scenario ran", run)
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
