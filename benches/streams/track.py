"""Tracking in videos: onelook beside ultralytics, and beside onnxruntime with supervision, in one run.

    python3 track.py --onelook ../../target/release/onelook --model yolo11n.pt --onnx yolo11n.onnx \\
        --clip clip.mp4 --python PYTHON

`--python` has ultralytics, supervision, onnxruntime and opencv. Every contestant gives a line per frame; what counts is
from its first line to its last: frames per second, CPU time per frame of all its processes (decoders included), peak memory
of all of them. One clip, and `--streams` copies of it at once as a `.streams` list. Rounds alternate the order; medians are
shown. A contestant that gives another number of frames than the clip has, times the streams, is marked.
"""

import argparse
import json
import os
import pathlib
import platform
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
    return sum(int(fields[21]) * PAGE for fields in processes(root).values())


def run(command):
    """Frames, seconds and CPU seconds from the first line to the last, peak memory in bytes."""
    with tempfile.TemporaryDirectory() as place, open(f"{place}/errors", "w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=place)
        peak, done = [0], threading.Event()

        def watch():
            while not done.wait(0.1):
                peak[0] = max(peak[0], memory_bytes(process.pid))

        threading.Thread(target=watch, daemon=True).start()
        count, first, last = 0, None, None
        for _ in process.stdout:
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
        "memory_mb": peak[0] / 1e6,
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
    print(f"\n{streams} stream(s), {tracker}: frames per second, CPU ms per frame, memory MB (onelook's advantage)")
    rows, own = [], None
    for name, values in sorted(rounds.items(), key=lambda item: item[0] != "onelook"):
        row = {key: statistics.median(value[key] for value in values) for key in values[0]}
        own = own or row
        ratios = row["fps"] and [own["fps"] / row["fps"], row["cpu_ms"] / own["cpu_ms"], row["memory_mb"] / own["memory_mb"]]
        note = "" if row["frames"] == own["frames"] else f"  gave {row['frames']:.0f} frames, not {own['frames']:.0f}"
        print(f"  {name:26} {row['fps']:7.2f} ({ratios[0]:.2f})  {row['cpu_ms']:7.2f} ({ratios[1]:.2f})  "
              f"{row['memory_mb']:7.0f} ({ratios[2]:.2f}){note}", flush=True)
        rows.append({"streams": streams, "tracker": tracker, "name": name, **row})
    return rows


if __name__ == "__main__":
    main()
