#!/usr/bin/env python3
"""Installs the wheel into empty environments and shows what it promises, figure by figure.

    cargo xtask wheel
    python3 scripts/python/check_wheel.py target/wheels/onelook-*.whl --model yolo11n.pt --image bus.jpg \
        --python ~/.pyenv/versions/*/bin/python --ultralytics PYTHON_WITH_ULTRALYTICS

Needs nothing but the standard library, pip and the network's package index. Ends with 1 where a promise is
not kept. `--only NAME` runs parts: audit, install, import, script, measure, speed.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "crates/onelook-python/tests"
PARTS = ["audit", "install", "import", "script", "measure", "speed"]

SCRIPT = """
import sys
from ultralytics import YOLO

model = YOLO(sys.argv[1])
results = model(sys.argv[2], conf=0.25, imgsz=640, device="cpu", verbose=False)
for r in results:
    for box in r.boxes:
        x1, y1, x2, y2 = box.xyxy[0].tolist()
        print(model.names[int(box.cls)], float(box.conf), x1, y1, x2, y2)
    assert r.boxes.xywhn.cpu().numpy().shape == (len(r), 4)
    assert r.orig_img.shape[:2] == r.orig_shape
    annotated = r.plot()
    assert annotated.shape == r.orig_img.shape
"""

IMPORT = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import {module}
end = time.perf_counter()
print(json.dumps([middle - start, end - middle]))
"""


class Report:
    """What was shown, and whether it is as promised."""

    def __init__(self):
        self.lines = []

    def add(self, name, kept, **figures):
        """A line; `kept` may be None where nothing was promised."""
        word = {True: "kept  ", False: "BROKEN", None: "      "}[kept]
        shown = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items())
        print(f"{word} {name}: {shown}", flush=True)
        self.lines.append({"name": name, "kept": kept, **figures})

    @property
    def failed(self):
        return any(line["kept"] is False for line in self.lines)


def run(command, check=True, **options):
    command = [str(word) for word in command]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **options)
    if check and ended.returncode:
        sys.exit(f"{' '.join(command[:6])} … ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended


class Environments:
    """Empty environments below one folder, filled by one pip."""

    def __init__(self, folder):
        self.folder = folder
        run([sys.executable, "-m", "venv", "--clear", folder / "tools"])
        self.pip = [folder / "tools/bin/python", "-m", "pip", "--disable-pip-version-check"]
        run([*self.pip, "install", "--quiet", "--upgrade", "pip", "abi3audit", "auditwheel"])

    def make(self, python, name):
        folder = self.folder / name
        run([python, "-m", "venv", "--clear", "--without-pip", folder])
        return folder

    def install(self, folder, *packages, check=True):
        pip = [*self.pip, "--python", folder / "bin/python", "install", "--quiet"]
        return run([*pip, *packages], check=check)

    def packages(self, folder):
        listed = run([*self.pip, "--python", folder / "bin/python", "list", "--format", "json"])
        return sorted(found["name"] for found in json.loads(listed.stdout))


def version(python):
    code = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    return run([python, "-c", code]).stdout.strip()


def size_of(python, *left_out):
    """Bytes of everything that is installed in an environment."""
    folder = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    scripts = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('scripts'))"]).stdout.strip())
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
    files += [path for path in [scripts / "onelook"] if path.is_file()]
    return sum(path.stat().st_size for path in files if not any(part in path.parts for part in left_out))


def mb(count):
    return f"{count / 1e6:.1f} MB"


def audit(args, report, environments):
    tools = environments.folder / "tools/bin"
    with zipfile.ZipFile(args.wheel) as wheel:
        parts = {Path(it.filename).name: wheel.read(it) for it in wheel.infolist() if it.file_size > 1e6}
    sizes = {name: mb(len(content)) for name, content in parts.items()}
    report.add("wheel", None, file=args.wheel.name, size=mb(args.wheel.stat().st_size), **sizes)
    for name, content in parts.items():
        wanted = sorted({int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)})
        stripped = b".symtab" not in content
        report.add(name, wanted[-1] <= 17 and stripped, glibc=f"2.{wanted[-1]}", stripped=stripped)
    found = environments.folder / "abi3audit.json"
    abi = run([tools / "abi3audit", "--strict", "--report", "--output", found, args.wheel], check=False)
    specs = json.loads(found.read_text() or "{}").get("specs", {})
    objects = [it["result"] for spec in specs.values() for it in spec["wheel"]]
    kept = abi.returncode == 0 and bool(objects) and all(it["is_abi3_baseline_compatible"] for it in objects)
    wrong = [name for it in objects for name in it["non_abi3_symbols"]]
    report.add("abi3audit", kept, modules=len(objects), symbols_outside=len(wrong))
    shown = json.loads(run([tools / "auditwheel", "show", "--json", args.wheel]).stdout)
    tag = shown["overall_tag"]
    outside = [name for name, path in shown["external_libs"].items() if path is not None]
    kept = tag.startswith(("manylinux_2_17_", "manylinux_2_12_", "manylinux_2_5_")) and not outside
    report.add("auditwheel", kept, tag=tag, other_libraries=len(outside))


def install(args, report, environments):
    for python in args.python:
        name = version(python)
        folder = environments.make(python, f"python-{name}-{len(report.lines)}")
        installed = environments.install(folder, args.wheel, check=False)
        if tuple(map(int, name.split(".")[:2])) < (3, 10):
            reasons = ("requires a different Python", "not a supported wheel")
            is_refused = installed.returncode != 0 and any(it in installed.stderr for it in reasons)
            report.add(f"Python {name}, too old", is_refused, refused=is_refused)
            continue
        packages = environments.packages(folder)
        binary = folder / "bin/onelook"
        words = [run(command).stdout for command in ([binary, "--version"], [folder / "bin/python", "-m", "onelook", "--version"])]
        is_clean = installed.returncode == 0 and packages == ["numpy", "onelook"] and words[0] == words[1]
        figures = {"packages": " ".join(packages), "command_line": words[0].strip()}
        environments.install(folder, "pytest", "pillow", "pandas", "tqdm")
        where = run([folder / "bin/python", "-c", "import onelook; print(onelook.__file__)"]).stdout
        environment = {**os.environ, "ONELOOK_BINARY": str(binary)}
        command = [folder / "bin/pytest", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=", TESTS]
        tests = run(command, check=False, env=environment)
        figures["tests"] = (tests.stdout.strip().splitlines() or [tests.stderr])[-1]
        is_good = is_clean and tests.returncode == 0 and str(folder) in where
        report.add(f"Python {name}", is_good, **figures)
        if tests.returncode:
            print(tests.stdout[-4000:])


def imports(args, report, environments, folder):
    pythons = {"onelook": folder / "bin/python"}
    if args.ultralytics:
        pythons["ultralytics"] = args.ultralytics
    times = {name: [] for name in pythons}
    first = {}
    for turn in range(6):
        for name, python in pythons.items():
            if name != "onelook" and turn > 3:
                continue
            numpy, module = json.loads(run([python, "-c", IMPORT.format(module=name)]).stdout.splitlines()[-1])
            # The first reads from the disk and compiles.
            if turn:
                times[name].append((numpy, module))
            else:
                first[name] = module
    for name, python in pythons.items():
        # The least is what it takes; the rest is what else the machine does.
        beyond = min(module for _, module in times[name])
        numpy = min(numpy for numpy, _ in times[name])
        kept = beyond <= 0.05 if name == "onelook" else None
        report.add(
            f"import {name}",
            kept,
            beyond_numpy=f"{1e3 * beyond:.1f} ms",
            first_time=f"{1e3 * first[name]:.0f} ms",
            numpy=f"{1e3 * numpy:.0f} ms",
            installed=mb(size_of(python)),
            of_it_without_numpy=mb(size_of(python, "numpy", "numpy.libs")),
        )


def script(args, report, environments, folder):
    if not args.ultralytics:
        report.add("the same script", None, left_out="--ultralytics names no interpreter")
        return
    theirs = run([args.ultralytics, "-c", SCRIPT, args.model, args.image]).stdout
    changed = SCRIPT.replace("from ultralytics import YOLO", "from onelook import YOLO")
    ours = run([folder / "bin/python", "-c", changed, args.model, args.image]).stdout

    def rows(text):
        lines = [line for line in text.splitlines() if re.search(r" \S+ \S+ \S+ \S+ \S+$", line)]
        split = (line.rsplit(" ", 5) for line in lines)
        return sorted((name, [float(value) for value in values]) for name, *values in split)

    first, second = rows(theirs), rows(ours)
    same = bool(first) and [name for name, _ in first] == [name for name, _ in second]
    pairs = [(a, b) for (_, a), (_, b) in zip(first, second)] if same else []
    pixels = max((abs(x - y) for a, b in pairs for x, y in zip(a[1:], b[1:])), default=float("nan"))
    scores = max((abs(a[0] - b[0]) for a, b in pairs), default=float("nan"))
    kept = same and pixels <= 0.5 and scores <= 0.002
    report.add(
        "the same script, its import changed",
        kept,
        boxes=f"{len(first)} and {len(second)}",
        largest_difference=f"{pixels:.4f} pixels, {scores:.6f} of confidence",
    )


def measure(args, report, environments, folder):
    command = [folder / "bin/python", ROOT / "scripts/python/measure.py", args.model, args.image]
    for line in run([*command, str(args.calls)]).stdout.splitlines():
        found = json.loads(line)
        report.add(found.pop("name"), found.pop("kept"), **found)


def speed(args, report, environments, folder):
    """The same images from files and from an array, in turns with the command line."""
    binary = folder / "bin/onelook"
    count = args.images
    lists = {}
    for number in (1, count + 1):
        lists[number] = environments.folder / f"list-{number}.txt"
        lists[number].write_text(f"{Path(args.image).resolve()}\n" * number)

    def wall(number):
        flags = ["predict", "--model", args.model, "--source", lists[number], "--device", "cpu", "--no-save", "--json"]
        start = time.perf_counter()
        run([binary, *flags])
        return time.perf_counter() - start

    loop = [folder / "bin/python", ROOT / "scripts/python/measure.py", args.model, args.image, "serve", str(count)]
    turns = subprocess.Popen([str(word) for word in loop], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    rates = {"binary": [], "paths": [], "array": []}
    wall(1)
    for _ in range(args.rounds):
        # What a start costs is taken off.
        rates["binary"].append(count / (wall(count + 1) - wall(1)))
        for kind in ("paths", "array"):
            turns.stdin.write(f"{kind}\n")
            turns.stdin.flush()
            rates[kind].append(count / float(turns.stdout.readline()))
    turns.stdin.close()
    turns.wait()
    middle = {kind: statistics.median(values) for kind, values in rates.items()}
    for kind in ("paths", "array"):
        ratios = [ours / theirs for ours, theirs in zip(rates[kind], rates["binary"])]
        ratio = statistics.median(ratios)
        report.add(
            f"calls per second, {kind}",
            ratio >= 0.97,
            python=f"{middle[kind]:.2f}",
            binary=f"{middle['binary']:.2f}",
            ratio=f"{ratio:.3f}",
            of_rounds=" ".join(f"{it:.3f}" for it in ratios),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--model", type=lambda word: Path(word).resolve(), required=True)
    parser.add_argument("--image", type=lambda word: Path(word).resolve(), required=True)
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="interpreters to install into")
    parser.add_argument("--ultralytics", help="an interpreter that has ultralytics")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--calls", type=int, default=10_000, help="calls between which memory is compared")
    parser.add_argument("--images", type=int, default=60, help="images of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    args = parser.parse_args()
    args.wheel = args.wheel.resolve()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="onelook-wheel-") as folder:
        environments = Environments(Path(folder))
        if "audit" in args.only:
            audit(args, report, environments)
        if "install" in args.only:
            install(args, report, environments)
        if set(args.only) & {"import", "script", "measure", "speed"}:
            own = environments.make(args.python[0], "own")
            environments.install(own, args.wheel)
            for name, part in {"import": imports, "script": script, "measure": measure, "speed": speed}.items():
                if name in args.only:
                    part(args, report, environments, own)
    if args.json:
        args.json.write_text(json.dumps(report.lines, indent=1) + "\n")
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
