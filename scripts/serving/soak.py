"""Mixed good and bad input for a long time: memory flat, no panic, right boxes to the end.

    python3 soak.py --model yolo11n.pt --image bus.jpg --minutes 15

Good: JPEG, PNG, WebP and BMP bodies, forms with several images, JSON with base64, annotated images, DeepStack,
the Open Inference Protocol over HTTP and gRPC. Bad: truncated and random bytes, wrong types, false claims of size,
broken JSON and forms, wrong tensors, unknown models, callers that go away. Each kind of request has the statuses
it may end with; every good answer is compared with the first of its kind.
"""

import argparse
import asyncio
import collections
import pathlib
import random
import shlex
import statistics
import sys
import time

import environments

environments.enter("load")

import load
import soak_requests
from process import MemoryWatch, Onelook, slope_per_minute
from report import Report, expect, expect_equal


class Tally:
    """What happened to each kind of request."""

    def __init__(self):
        self.statuses = collections.defaultdict(collections.Counter)
        self.unexpected, self.wrong, self.first = collections.defaultdict(list), collections.Counter(), {}

    def take(self, kind, outcome):
        status = str(outcome.status) if outcome.status else outcome.error[:100]
        self.statuses[kind.name][status] += 1
        if outcome.status not in kind.statuses:
            text = outcome.body[:200].decode(errors="replace")
            if len(self.unexpected[kind.name]) < 3:
                self.unexpected[kind.name].append(f"{status} {text}")
        elif outcome.status == 200 and kind.answer:
            found = kind.answer(outcome.body)
            wanted = self.first.setdefault(kind.name, found)
            self.wrong[kind.name] += not kind.same(found, wanted)


async def scenario(server, kinds, clients, seconds, tally, seed):
    """Closed-loop callers, each picks its kinds at random; one more goes away in the middle of its requests."""
    end = time.monotonic() + seconds
    async with load.session() as client, soak_requests.Grpc(server.grpc) as grpc:

        async def caller(number):
            choice = random.Random(seed + number)
            while time.monotonic() < end:
                kind = choice.choices(kinds, [kind.weight for kind in kinds])[0]
                tally.take(kind, await kind.send(client, grpc, server.url))

        async def leaver():
            while time.monotonic() < end:
                task = asyncio.ensure_future(kinds[0].send(client, grpc, server.url))
                await asyncio.sleep(random.random() * 0.2)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(caller(number) for number in range(clients)), leaver())


def memory_check(samples, warm_share, growth_mb):
    """Median after the warm-up against the median at the end, and the slope between."""
    last = samples[-1][0]
    after = [each for each in samples if each[0] >= warm_share * last]
    tenth = max(1, len(after) // 10)
    early = statistics.median(size for _, size in after[:tenth])
    late = statistics.median(size for _, size in after[-tenth:])
    slope = slope_per_minute(after)
    said = f"{early / 1e6:.1f} MB after the warm-up, {late / 1e6:.1f} MB at the end, slope {slope / 1e6:+.2f} MB a minute, at most {max(size for _, size in samples) / 1e6:.1f} MB"
    expect(late - early <= max(0.05 * early, 1e6 * growth_mb), said)
    return said


def main():
    parser = load.arguments_of(
        argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--warm-share", type=float, default=0.25, help="part of the time that counts as warm-up")
    parser.add_argument(
        "--memory-growth", type=float, default=24, help="most growth after the warm-up, MB (or 5 %%, if that is more)"
    )
    arguments = parser.parse_args()
    report, tally = Report("soak"), Tally()
    image = pathlib.Path(arguments.image).read_bytes()
    kinds = soak_requests.kinds(image, arguments.seed)

    def run():
        flags = shlex.split(arguments.serve_flags)
        with Onelook(arguments.onelook, [f"yolo11n={arguments.model}"], flags, log=arguments.log) as server:
            with MemoryWatch(server, 1.0) as memory:
                asyncio.run(scenario(server, kinds, arguments.clients, 60 * arguments.minutes, tally, arguments.seed))
            report.notes["memory_mb"] = [(round(at, 1), round(size / 1e6, 1)) for at, size in memory.samples]
            report.check(
                "memory is flat", lambda: memory_check(memory.samples, arguments.warm_share, arguments.memory_growth)
            )
            report.check("the server is alive", lambda: expect(server.alive(), server.log_tail()))
            report.check("no panic in the log", lambda: expect("panicked" not in server.log_text(), server.log_tail()))
            report.check("ends when asked", lambda: expect_equal(server.stop(), 0, "exit status"))

    report.check("the scenario ran", run)
    for kind in kinds:

        def judged(kind=kind):
            expect(kind.name in tally.statuses, "never sent: the run was too short")
            expect(
                not tally.unexpected[kind.name], f"allowed {sorted(kind.statuses)}, got {tally.unexpected[kind.name]}"
            )
            share = tally.statuses[kind.name]["200"] / tally.statuses[kind.name].total()
            expect(not kind.answer or share >= 0.9, f"only {share:.0%} answered 200: {dict(tally.statuses[kind.name])}")
            expect_equal(tally.wrong[kind.name], 0, "answers that differ from the first")
            return dict(tally.statuses[kind.name])

        report.check(kind.name, judged)

    def same_boxes_everywhere():
        wanted = tally.first["JPEG body"]
        for name in ("form with two images", "JSON with base64"):
            expect(load.same_detections(tally.first[name], wanted), f"{name}: other boxes than the JPEG body")
        return f"{len(wanted)} boxes"

    report.check("one image, the same boxes in every wrapping", same_boxes_everywhere)
    report.notes["statuses"] = {name: dict(counter) for name, counter in tally.statuses.items()}
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
