#!/usr/bin/env python3
"""Every CPU engine beside onelook in one run, each in f32 and in its best precision.

    python3 benches/peers/peers.py --models yolo11n.pt,yolo11s.yaml --threads 1,2 --batch 1,8 --map

Makes its own environments under a cache folder at the first start (environment.py says where and how large);
`--torch-python` takes an existing Python with torch and ultralytics for what else is 6 GB. Each engine is a process of its own
that answers "run one pass" through pipes. They take turns, one pass each a round, with a pause before each, so
that the threads of the engine before sleep. Time is that of the pass alone: from f32 values in memory to the
output in memory; the least CPU time is given too, which on one thread hardly depends on what else the machine does. An engine in f32 must give ONNX Runtime's boxes within 0.5 pixels and 0.002 before its time
counts; of other precisions the difference is printed. `--map` gives each one's mAP50-95 on the data set: the
same images, decoding and NMS for all. The table, its JSON and a plot go to `--out`, by date.

A name such as yolo11s.yaml is that architecture with random weights: times are real, mAP would mean nothing.
"""

import argparse
import datetime
import os
import pathlib
import statistics
import sys
import tempfile
import time
import types

import environment
from environment import HERE, ROOT, say

PAUSE = 0.03
WARM_UP = 3
MOST_PIXELS, MOST_SCORE = 0.5, 0.002


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(word) for word in text.split(",")]
    words = lambda text: text.split(",")
    parser.add_argument("--models", type=words, default=["yolo11n.pt"], help="checkpoints, or names as yolo11s.yaml")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batch", type=numbers, default=[1])
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=30, help="at most so many")
    parser.add_argument("--seconds", type=float, default=180, help="end the rounds of one setting after this time")
    parser.add_argument("--isa", choices=["avx2"], help="hold the engines to it, where they allow it")
    parser.add_argument("--map", action="store_true", help="mAP of each engine, for models that are not random")
    parser.add_argument("--only", type=words, help="only these, as 'onelook' or 'openvino int8'")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/coco-val-subset")
    parser.add_argument("--calibration", type=pathlib.Path, default=ROOT.parent / "shared/data/coco-train-subset")
    parser.add_argument("--torch-python", help="an existing Python with torch and ultralytics")
    parser.add_argument("--onelook", help="a onelook binary: adds what its `bench` says of instructions and ceiling")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benches/results")
    parser.add_argument("--name", help="part of the results' names [default: the models]")
    return parser.parse_args()


def chosen(only):
    from engines import CANDIDATES

    return [c for c in CANDIDATES if not only or c.worker in only or c.name in only]


def start(context, models, threads, batch):
    """The workers of one setting and what was left out, by name and reason."""
    from engines import LeftOut, Worker

    workers, left_out = [], {}
    for candidate in chosen(context.options.only):
        say(f"  loading {candidate.name}")
        try:
            model = models.form(candidate.form, batch)
            workers.append(Worker(candidate, context.programs, model, context.options.size, threads, batch,
                                  context.images, context.options.isa))
        except LeftOut as reason:
            left_out[candidate.name] = str(reason)
        except OSError as reason:
            left_out[candidate.name] = f"cannot start: {reason}"
        except environment.subprocess.CalledProcessError as reason:
            left_out[candidate.name] = f"its model cannot be made: {reason}"
    return workers, left_out


def output(worker, first, batch, folder):
    import numpy

    path = pathlib.Path(folder) / "output.f32"
    worker.ask(f"save {first} {path}")
    return numpy.fromfile(path, "<f4").reshape(batch, 84, -1)


def compare(workers, batch, left_out, folder):
    """Keeps the workers whose answers may be compared: each gets its largest difference from the first one."""
    import boxes
    from engines import LeftOut

    kept, reference = [], None
    for worker in workers:
        try:
            answer = output(worker, 0, batch, folder)
        except (LeftOut, OSError, ValueError) as reason:
            left_out[worker.candidate.name] = str(reason)
            worker.stop()
            continue
        reference = answer if reference is None else reference
        pixels, score, count = boxes.difference(reference, answer)
        worker.difference = {"pixels": pixels, "score": score, "boxes": count}
        worker.counts = not worker.candidate.exact or (pixels <= MOST_PIXELS and score <= MOST_SCORE)
        if not worker.counts:
            left_out[worker.candidate.name] = f"boxes differ by {pixels:.3g} pixels and {score:.2g}: its time does not count"
            worker.stop()
            continue
        kept.append(worker)
    return kept


def rounds(workers, options):
    """Milliseconds (clock, CPU) of each worker's passes, one each a round; another one goes first in each round."""
    times = {worker.candidate.name: [] for worker in workers}
    end = None
    for number in range(-WARM_UP, options.rounds):
        if number == 0:
            end = time.monotonic() + options.seconds
        if end and time.monotonic() > end and number >= 3:
            break
        for turn in range(len(workers)):
            worker = workers[(turn + number) % len(workers)]
            time.sleep(PAUSE)
            taken = worker.ask("run 0")
            if number >= 0:
                times[worker.candidate.name].append(taken)
    return times


def measure(context, models, threads, batch):
    say(f"{models.name}, {threads} thread{'s'[: threads > 1]}, batch {batch}")
    # What others do: the workers' own work would hide it later.
    load = os.getloadavg()[0]
    workers, left_out = start(context, models, threads, batch)
    try:
        workers = compare(workers, batch, left_out, context.folder)
        say("  measuring " + ", ".join(worker.candidate.name for worker in workers))
        times = rounds(workers, context.options)
    finally:
        for worker in workers:
            worker.stop()
    rows = []
    for worker in workers:
        taken, cpu = zip(*times[worker.candidate.name])
        rows.append({"name": worker.candidate.name, "engine": worker.engine, "precision": worker.candidate.precision,
                     "path": worker.path, "exact": worker.candidate.exact, "best_ms": min(taken),
                     "median_ms": statistics.median(taken), "cpu_ms": min(cpu), "rounds": len(taken), "difference": worker.difference})
    return {"model": models.name, "random_weights": models.random, "threads": threads, "batch": batch,
            "load_before": load, "rows": rows, "left_out": left_out}


def precisions(context, models):
    """mAP of every candidate, one image a pass; what was measured before is read from the cache."""
    import json

    import boxes
    from engines import LeftOut, Worker

    results = {}
    for candidate in chosen(context.options.only):
        isa = context.options.isa or "best"
        model = models.form(candidate.form, 1)
        try:
            worker = Worker(candidate, context.programs, model, context.options.size, max(context.options.threads), 1,
                            context.images, context.options.isa)
        except LeftOut:
            continue
        # onelook changes with every build, so its result is not kept.
        key = f"{model.stem}-{worker.engine}-{candidate.precision}-{isa}".replace(" ", "-").replace("/", "-")
        kept = environment.cache() / "map" / f"{key}.json"
        try:
            if kept.exists() and candidate.worker != "onelook":
                results[candidate.name] = json.loads(kept.read_text())
                continue
            say(f"  mAP of {candidate.name}")
            outputs = (output(worker, number, 1, context.folder)[0] for number in range(len(context.placements)))
            results[candidate.name] = boxes.mean_precision(outputs, context.placements, context.options.data)
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(results[candidate.name]))
        except (LeftOut, OSError) as reason:
            say(f"  no mAP of {candidate.name}: {reason}")
        finally:
            worker.stop()
    return results


def main():
    options = arguments()
    python = environment.environment("env", "requirements.txt")
    if pathlib.Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), *sys.argv])
    import boxes
    import engines
    import report

    torch = environment.torch_environment(options.torch_python)
    in_rust = any(candidate.worker in engines.RUST for candidate in chosen(options.only))
    rust = environment.rust_worker() if in_rust else None
    programs = types.SimpleNamespace(python=python, torch=torch, rust=rust)
    images, calibration = (environment.cache() / f"{name}-{options.size}.u8" for name in ("images", "calibration"))
    say("preparing images")
    placements = boxes.prepare(options.data, options.size, images)
    boxes.prepare(options.calibration, options.size, calibration)
    settings, maps = [], {}
    stem = f"{datetime.date.today()}-peers-" + (options.name or "-".join(pathlib.Path(m).stem for m in options.models))
    with tempfile.TemporaryDirectory() as folder:
        context = types.SimpleNamespace(options=options, programs=programs, images=images, placements=placements,
                                        folder=folder)
        for source in options.models:
            models = environment.Models(source, options.size, python, torch, calibration)
            for batch in options.batch:
                for threads in options.threads:
                    settings.append(measure(context, models, threads, batch))
                    # After each setting, so that a run that is broken off leaves what it has.
                    report.write(options, settings, maps, stem)
            if options.map and not models.random:
                maps[models.name] = precisions(context, models)
                report.write(options, settings, maps, stem)
    print(report.text(report.result(options, settings, maps)))
    say(f"written to {options.out}/{stem}.json, .md and .png")


main()
