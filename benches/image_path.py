"""JPEG decoding and fitting into the network's input, beside the reference's libraries, in turns.

    cargo build --release -p onelook --example image_path
    python3 benches/image_path.py target/release/examples/image_path bus.jpg [RESULT.json]

Needs opencv-python-headless, numpy and pillow; both peers decode with libjpeg-turbo. Each is held to one
thread. Besides the given JPEG it takes ones of 1080p and of 12 megapixels, made from it. A ratio above 1 is in
favour of onelook; the pixels must be equal.
"""

import datetime
import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import numpy
from PIL import Image, features

TURNS, ROUNDS = 7, 15


def fastest(work):
    """Milliseconds of the fastest of some rounds, and what it returned."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = work()
        best = min(best, (time.perf_counter() - start) * 1e3)
    return best, result


def fit(image):
    """What the reference does: scale, pad, planes of red, green and blue from 0 to 1."""
    height, width = image.shape[:2]
    gain = min(640 / height, 640 / width)
    scaled = round(width * gain), round(height * gain)
    if (width, height) != scaled:
        image = cv2.resize(image, scaled, interpolation=cv2.INTER_LINEAR)
    x, y = ((-side % 32) / 2 for side in scaled)
    sides = round(y - 0.1), round(y + 0.1), round(x - 0.1), round(x + 0.1)
    if any(sides):
        image = cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT, value=(114,) * 3)
    planes = numpy.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))
    return planes.astype(numpy.float32) / 255


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    values = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    kind = ", ".join(f"{key} {values[key]}" for key in ("cpu family", "model") if key in values)
    return f"{values.get('model name', 'unknown')} ({kind}), {os.cpu_count()} cores"


def measure(program, path, folder):
    data = path.read_bytes()
    array = numpy.frombuffer(data, numpy.uint8)
    image = cv2.imdecode(array, cv2.IMREAD_COLOR)
    out = folder / "out"

    def ours(step):
        command = [program, step, path, str(ROUNDS), out]
        best = float(subprocess.run(command, check=True, capture_output=True).stdout)
        return best, numpy.frombuffer(out.read_bytes(), numpy.uint8)

    peers = {
        "decode": {
            "opencv": lambda: cv2.imdecode(array, cv2.IMREAD_COLOR),
            "pillow": lambda: numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
        },
        "fit": {"opencv and numpy": lambda: fit(image)},
    }
    row = {"image": path.name, "width": image.shape[1], "height": image.shape[0]}
    for step, of_step in peers.items():
        times = {name: [] for name in ["onelook", *of_step]}
        for _ in range(TURNS):
            best, result = ours(step)
            times["onelook"].append(best)
            for name, work in of_step.items():
                best, theirs = fastest(work)
                times[name].append(best)
                if (step, name) == ("decode", "opencv"):
                    theirs = theirs[:, :, ::-1]
                theirs = numpy.ascontiguousarray(theirs).reshape(-1).view(numpy.uint8)
                if not numpy.array_equal(result, theirs):
                    sys.exit(f"{path.name}: {step} differs from {name}")
        row[step] = {"ms": {name: min(of) for name, of in times.items()}, "ratio": {}}
        for name in of_step:
            pairs = zip(times[name], times["onelook"])
            row[step]["ratio"][name] = statistics.median(a / b for a, b in pairs)
    return row


def main():
    program, image = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = [image]
        for name, size in [("1080p.jpg", (1920, 1080)), ("12mp.jpg", (4000, 3000))]:
            scaled = cv2.resize(cv2.imread(str(image)), size, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / name), scaled, [cv2.IMWRITE_JPEG_QUALITY, 90])
            paths.append(folder / name)
        rows = []
        for path in paths:
            rows.append(measure(program, path, folder))
            for step in ("decode", "fit"):
                of_step = rows[-1][step]
                times = ", ".join(f"{name} {ms:.2f}" for name, ms in of_step["ms"].items())
                ratios = ", ".join(f"{r:.2f} of {name}" for name, r in of_step["ratio"].items())
                print(f"{path.name:10} {step:7} ms: {times}; speed: {ratios}; equal")
    if len(sys.argv) > 3:
        result = {
            "date": datetime.date.today().isoformat(),
            "machine": processor(),
            "opencv": cv2.__version__,
            "pillow": f"{Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}",
            "script": f"benches/image_path.py; one thread, median ratio of {TURNS} turns, a ratio above 1 is in favour of onelook",
            "images": rows,
        }
        pathlib.Path(sys.argv[3]).write_text(json.dumps(result, indent=1) + "\n")


main()
