"""Process start to first box: `onelook predict` and a short onnxruntime script, alternately.

    python3 benches/cold_start.py --onelook-model yolo11n.pt --onnx yolo11n.onnx --source bus.jpg

Wall time and peak memory of whole processes, from fork to exit. Both must find the same number of
objects, or nothing is reported. The script runs with the interpreter that runs this file, which
needs onnxruntime and opencv.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def measure(command):
    """Standard output, seconds and peak bytes of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return output, seconds, usage.ru_maxrss * 1024


def cpu_model():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown CPU"


def commit():
    shown = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return shown.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onelook", default=HERE.parent / "target/release/onelook", help="the binary")
    parser.add_argument("--onelook-model", required=True, help=".pt, .onnx or .safetensors")
    parser.add_argument("--onnx", required=True, help="the same model for onnxruntime, 640x640")
    parser.add_argument("--source", required=True, help="an image")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="file to save the result in")
    arguments = parser.parse_args()

    commands = {
        "onelook": [
            arguments.onelook, "predict", "--model", arguments.onelook_model, "--source", arguments.source,
            "--json", "--no-save", "--no-rect",
        ],
        "onnxruntime script": [sys.executable, HERE / "ort_first_box.py", arguments.onnx, arguments.source],
    }
    counts, times, memory = {}, {name: [] for name in commands}, {}
    for round_number in range(arguments.rounds + 1):
        for name, command in commands.items():
            output, seconds, peak = measure(command)
            is_json = name == "onelook"
            counts[name] = len(json.loads(output)["detections"]) if is_json else len(output.splitlines())
            if round_number:  # the first round fills the system's file cache
                times[name].append(seconds)
                memory[name] = max(memory.get(name, 0), peak)
    if len(set(counts.values())) != 1:
        sys.exit(f"the two found different numbers of objects: {counts}")

    ours, theirs = commands
    result = {
        "what": "process start to first box", "source": os.path.basename(arguments.source),
        "model": os.path.basename(arguments.onelook_model), "rounds": arguments.rounds,
        "objects": counts[ours], "cpu": f"{cpu_model()}, {os.cpu_count()} logical cores", "commit": commit(),
        "runs": {
            name: {
                "median_ms": statistics.median(times[name]) * 1e3, "min_ms": min(times[name]) * 1e3,
                "peak_mb": memory[name] / 1e6,
            }
            for name in commands
        },
    }
    result["wall_ratio"] = result["runs"][theirs]["median_ms"] / result["runs"][ours]["median_ms"]
    result["memory_ratio"] = result["runs"][theirs]["peak_mb"] / result["runs"][ours]["peak_mb"]
    print(f"{result['source']}, {result['objects']} objects, {arguments.rounds} rounds, {result['cpu']}\n")
    print("| | median ms | min ms | peak MB |\n|---|---|---|---|")
    for name, run in result["runs"].items():
        print(f"| {name} | {run['median_ms']:.0f} | {run['min_ms']:.0f} | {run['peak_mb']:.0f} |")
    print(f"| ratio | {result['wall_ratio']:.1f} | | {result['memory_ratio']:.1f} |")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
        print(f"\nsaved to {arguments.json}")


main()
