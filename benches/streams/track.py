"""Tracking in videos: onelook beside ultralytics, and beside onnxruntime with supervision, in one run.

    python3 track.py --onelook ../../target/release/onelook --model yolo11n.pt --onnx yolo11n.onnx \\
        --clip clip.mp4 --python PYTHON

`--python` has ultralytics, supervision (below 0.28, which has a tracker), onnxruntime and opencv. Every contestant gives a line per frame; what counts is
from its first line to its last: frames per second, CPU time per frame of all its processes (decoders included), the age of
results (median time from a frame's leaving the decoder to its line; frames that were decoded ahead grow old waiting), and peak
memory of all processes: what they share, such as libraries, counts once (the kernel's PSS; RSS, which counts it once per
process, is in the JSON). One clip, and `--streams` copies of it at once as a `.streams` list. Rounds alternate the order; medians are
shown. A contestant that gives another number of frames than the clip has, times the streams, is marked.
"""

import argparse
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def processes(root):
    """The process and its descendants that live."""
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1]), fields
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in parents and pid not in found:
            found[pid] = parents[pid][1]
            todo += [child for child, (parent, _) in parents.items() if parent == pid]
    return found


def cpu_seconds(root):
    """User and system time of all, those that have ended and were waited for included."""
    return sum(sum(int(fields[index]) for index in range(11, 15)) for fields in processes(root).values()) / TICKS


def memory_bytes(root):
    """PSS and RSS of all."""
    proportional, resident = 0, 0
    for pid, fields in processes(root).items():
        resident += int(fields[21]) * PAGE
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        proportional += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return proportional, resident


RESULT = re.compile(rb"\d+ (nan|[\d.e+-]+)$")


def is_result(line):
    """Whether a line tells of a frame: libraries print of their own."""
    return line.startswith(b"{") or RESULT.match(line.strip()) is not None


def age_ms(line):
    """The age that a line of a frame tells, if it does."""
    if line.startswith(b"{"):
        return json.loads(line).get("age_ms")
    return float(RESULT.match(line.strip())[1])


def run(command):
    """Frames, their rate, CPU time and age from the first line to the last, peak memory."""
    with tempfile.TemporaryDirectory() as place, open(f"{place}/errors", "w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=place)
        peak, done = (0, 0), threading.Event()

        def watch():
            nonlocal peak
            # Adding up the pages of a process takes the kernel milliseconds.
            while not done.wait(0.5):
                peak = tuple(map(max, peak, memory_bytes(process.pid)))

        threading.Thread(target=watch, daemon=True).start()
        count, first, last, ages = 0, None, None, []
        for line in filter(is_result, process.stdout):
            ages.append(age_ms(line))
            count += 1
            now = time.monotonic()
            if first is None:
                first = now, cpu_seconds(process.pid)
            # Reading /proc for every frame would count itself.
            last = now, cpu_seconds(process.pid) if count % 10 == 0 or last is None else last[1], count
            if count % 10 == 0:
                measured = last
        done.set()
        if process.wait() != 0:
            errors.seek(0)
            raise SystemExit(f"{command[:2]} ended with {process.returncode}: {errors.read()[-2000:]}")
    (begin, cpu), (end, cpu_end, at) = first, measured
    return {
        "frames": count,
        "fps": (at - 1) / (end - begin),
        "cpu_ms": 1000 * (cpu_end - cpu) / (at - 1),
        "age_ms": statistics.median([age for age in ages if age is not None] or [math.nan]),
        "memory_mb": peak[0] / 1e6,
        "rss_mb": peak[1] / 1e6,
    }


def contestants(args, source, tracker):
    peers = HERE / "peers"
    yield "onelook", [args.onelook, "track", "--model", args.model, "--source", source, "--tracker", tracker, "--json",
                      "--no-save", "--device", "cpu"]
    yield "ultralytics", [args.python, peers / "ultralytics_track.py", args.model, source, f"{tracker}.yaml"]
    if args.onnx and tracker == "bytetrack":
        yield "onnxruntime + supervision", [args.python, peers / "supervision_track.py", args.onnx, source, tracker]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--onelook", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--onnx")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trackers", nargs="+", default=["bytetrack", "tracktrack"])
    parser.add_argument("--json", help="file to write")
    args = parser.parse_args()
    for name in ("onelook", "model", "onnx", "clip"):
        if value := getattr(args, name):
            setattr(args, name, str(pathlib.Path(value).resolve()))
    report = []
    with tempfile.TemporaryDirectory() as place:
        listed = pathlib.Path(place) / "clips.streams"
        copies = []
        for number in range(args.streams):
            copies.append(pathlib.Path(place) / f"{number}.mp4")
            os.symlink(args.clip, copies[-1])
        listed.write_text("".join(f"{copy}\n" for copy in copies))
        for streams, source in ((1, args.clip), (args.streams, str(listed))):
            for tracker in args.trackers:
                rounds = {}
                for number in range(args.rounds):
                    order = list(contestants(args, source, tracker))
                    for name, command in order if number % 2 else order[::-1]:
                        rounds.setdefault(name, []).append(run([str(word) for word in command]))
                report += table(streams, tracker, rounds)
    if args.json:
        cpu = next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).split(":")[1].strip()
        result = {"processor": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "results": report}
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


def table(streams, tracker, rounds):
    """Prints the medians, onelook's advantage as a ratio beside each, and returns them."""
    print(f"\n{streams} stream(s), {tracker}: frames per second, CPU ms per frame, age ms, memory MB (onelook's advantage)")
    rows, own = [], None
    for name, values in sorted(rounds.items(), key=lambda item: item[0] != "onelook"):
        row = {key: statistics.median(value[key] for value in values) for key in values[0]}
        own = own or row
        ratios = {key: row[key] / own[key] for key in ("cpu_ms", "age_ms", "memory_mb")}
        note = "" if row["frames"] == own["frames"] else f"  gave {row['frames']:.0f} frames, not {own['frames']:.0f}"
        print(f"  {name:26} {row['fps']:7.2f} ({own['fps'] / row['fps']:.2f})  {row['cpu_ms']:7.2f} ({ratios['cpu_ms']:.2f})  "
              f"{row['age_ms']:7.1f} ({ratios['age_ms']:.2f})  {row['memory_mb']:7.0f} ({ratios['memory_mb']:.2f}){note}",
              flush=True)
        rows.append({"streams": streams, "tracker": tracker, "name": name, **row})
    return rows


if __name__ == "__main__":
    main()
