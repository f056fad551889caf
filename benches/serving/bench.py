"""Throughput and latency of `onelook serve` and its peers: same machine, model, image, generator, in one run.

    python3 bench.py --onelook ../../target/release/onelook --model yolo11n.pt --onnx yolo11n.onnx --image bus.jpg

Peers: FastAPI + ultralytics, FastAPI + onnxruntime, LitServe + onnxruntime, the latter two in two settings each,
of which the better one counts at each load. All work on 640x640, or with --rect on the rectangle that
ultralytics' predict and onelook take by themselves. Each round starts one server after the other,
checks that it finds the same boxes as onelook, warms it, and loads it by `hey` with 1, 8 and 64 keep-alive
connections; rounds alternate their order, medians over rounds are reported. A request that is not answered
200 is counted and shown. Beside them: the bare engine, as `onelook predict` over the same image many times.
"""

import argparse
import collections
import csv
import datetime
import io
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "serving"))

import environments
from process import Ended, Onelook, Server, free_ports, request

REQUIREMENTS = HERE / "requirements"
BOUNDARY = "onelook-bench-boundary"


class Contender:
    """One server in one setting: how to start it, what to post where, how to read its boxes."""

    def __init__(self, name, family, start, path, content, body, boxes):
        self.name, self.family, self.start, self.path = name, family, start, path
        self.content, self.body, self.boxes = content, body, boxes


def form(image):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def peer(script, interpreter, model, options, environment=None):
    """A function that starts a peer's script on a free port and returns (server, url)."""

    def start(log):
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        command = [interpreter, HERE / "peers" / script, "--model", model, "--port", port, *options]
        ready = f"{url}/health" if "litserve" in script else f"{url}/ready"
        return Server(command, ready, pathlib.Path(script).stem, environment=environment, log=log), url

    return start


def contenders(arguments, image):
    cores = os.cpu_count()
    jpeg = ("image/jpeg", image)
    found = []

    def onelook(log):
        server = Onelook(arguments.onelook, [f"yolo11n={arguments.model}"], log=log)
        return server, server.url

    found.append(
        Contender(
            "onelook serve", "onelook", onelook, f"/v1/detect?rect={str(arguments.rect).lower()}", *jpeg, lambda a: a["images"][0]["detections"]
        )
    )
    given = arguments.ultralytics_python
    environment = dict(os.environ, YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")
    if "ultralytics" not in arguments.without:
        if given:
            environment["PYTHONPATH"] = str(layer(given))
        interpreter = given or environments.python("peers-ultralytics", REQUIREMENTS)
        start = peer("fastapi_ultralytics.py", interpreter, arguments.model, ["--rect"] * arguments.rect, environment)
        found.append(
            Contender(
                "FastAPI + ultralytics", "FastAPI + ultralytics", start, "/detect", *jpeg, lambda a: a["detections"]
            )
        )
    interpreter = environments.python("peers", REQUIREMENTS)
    for label, options in (("all cores per request", ["--threads", 0]), ("a core per request", ["--threads", 1])):
        start = peer("fastapi_onnxruntime.py", interpreter, arguments.onnx, options)
        name = f"FastAPI + onnxruntime, {label}"
        found.append(Contender(name, "FastAPI + onnxruntime", start, "/detect", *jpeg, lambda a: a["detections"]))
    multipart = (f"multipart/form-data; boundary={BOUNDARY}", form(image))
    for label, options in (
        ("batches of 8, one worker", ["--batch", 8, "--workers", 1, "--threads", 0]),
        ("a worker per core", ["--batch", 1, "--workers", cores, "--threads", 1]),
    ):
        start = peer("litserve_onnxruntime.py", interpreter, arguments.onnx, options)
        name = f"LitServe + onnxruntime, {label}"
        found.append(Contender(name, "LitServe + onnxruntime", start, "/detect", *multipart, lambda a: a["detections"]))
    return found


def layer(interpreter):
    """PYTHONPATH that adds FastAPI to an existing interpreter with ultralytics."""
    folder = environments.cache() / "peers-ultralytics-layer"
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        environments.install_into(unfinished, interpreter, REQUIREMENTS / "peers-ultralytics-layer.txt")
        unfinished.rename(folder)
    return folder


def boxes_of(contender, url):
    status, _, body = request(url + contender.path, contender.body, {"Content-Type": contender.content})
    if status != 200:
        sys.exit(f"{contender.name} answered {status}: {body[:300]!r}")
    return contender.boxes(json.loads(body))


def agree(got, wanted):
    """The same classes, boxes within 1 px and confidences within 0.005: rounding of three resizers."""
    if [each["class"] for each in got] != [each["class"] for each in wanted]:
        return False
    sides = all(
        abs(a["box"][key] - b["box"][key]) <= 1.0 for a, b in zip(got, wanted) for key in ("x1", "y1", "x2", "y2")
    )
    return sides and all(abs(a["confidence"] - b["confidence"]) <= 0.005 for a, b in zip(got, wanted))


def load(hey, contender, url, connections, seconds, body_file):
    """One run of the generator: requests per second, median and 99th percentile of the answered, refusals."""
    command = [hey, "-z", f"{seconds}s", "-c", connections, "-t", 120, "-m", "POST", "-T", contender.content]
    command += ["-D", body_file, "-o", "csv", url + contender.path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds + 240)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    if not rows:
        sys.exit(f"hey gave nothing for {contender.name}: {done.stderr[-500:]}")
    times = sorted(float(row["response-time"]) for row in rows if row["status-code"] == "200")
    refused = collections.Counter(row["status-code"] for row in rows if row["status-code"] != "200")
    end = max(float(row["offset"]) + float(row["response-time"]) for row in rows)
    if not times:
        return {"rps": 0.0, "p50_ms": None, "p99_ms": None, "requests": len(rows), "not_200": dict(refused)}
    return {
        "rps": len(times) / end,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[min(len(times) - 1, int(len(times) * 0.99))],
        "requests": len(rows),
        "not_200": dict(refused),
    }


def bare_engine(arguments, work, images):
    """Images per second of `onelook predict` in batches as the server's, start-up taken out by two lengths."""

    def seconds(count):
        listed = work / f"list-{count}.txt"
        listed.write_text(f"{pathlib.Path(arguments.image).resolve()}\n" * count)
        command = [arguments.onelook, "predict", "--model", arguments.model, "--source", listed,
                   "--rect", str(arguments.rect).lower(), "--batch", os.cpu_count(),
                   "--save", "false", "--json", "--quiet"]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    few = max(1, images // 10)
    return (images - few) / (seconds(images) - seconds(few))


def measure(arguments, hey, work):
    image = pathlib.Path(arguments.image).read_bytes()
    everyone = contenders(arguments, image)
    runs, bare, wanted = collections.defaultdict(list), [], None
    for number in range(arguments.rounds):
        bare.append(bare_engine(arguments, work, arguments.bare_images))
        print(f"round {number + 1}: bare engine {bare[-1]:.1f} images/s", file=sys.stderr)
        # onelook goes first in the first round, because the others are held against its boxes.
        for contender in everyone if number % 2 == 0 else everyone[::-1]:
            log = work / f"{contender.name.replace(' ', '-').replace(',', '')}-{number}.log"
            server, url = contender.start(log)
            with server:
                got = boxes_of(contender, url)
                wanted = wanted or got
                if not agree(got, wanted):
                    sys.exit(f"{contender.name} finds other boxes: {got} instead of {wanted}")
                body_file = work / "body"
                body_file.write_bytes(contender.body)
                load(hey, contender, url, 4, arguments.warm, body_file)
                for connections in arguments.connections:
                    got = load(hey, contender, url, connections, arguments.seconds, body_file)
                    got["memory_mb"] = server.memory() / 1e6
                    runs[contender.name, connections].append(got)
                    shown = f"{got['rps']:.1f}/s" + (f", NOT 200: {got['not_200']}" if got["not_200"] else "")
                    print(f"round {number + 1}: {contender.name}, {connections} connections: {shown}", file=sys.stderr)
    return everyone, runs, bare, wanted


def summary(everyone, runs, connections):
    """Medians over rounds per setting, then the best setting of each family at each load."""
    rows, best = [], {}
    for contender in everyone:
        for load_size in connections:
            kept = runs[contender.name, load_size]
            row = {"server": contender.name, "family": contender.family, "connections": load_size, "rounds": len(kept)}
            for key in ("rps", "p50_ms", "p99_ms", "memory_mb"):
                values = [each[key] for each in kept if each[key] is not None]
                row[key] = round(statistics.median(values), 2) if values else None
            row["not_200"] = dict(sum((collections.Counter(each["not_200"]) for each in kept), collections.Counter()))
            rows.append(row)
            place = (contender.family, load_size)
            if place not in best or row["rps"] > best[place]["rps"]:
                best[place] = row
    for (family, load_size), row in best.items():
        ours = best["onelook", load_size]
        if family != "onelook" and row["rps"]:
            row["onelook_throughput_ratio"] = round(ours["rps"] / row["rps"], 2)
            row["onelook_p50_ratio"] = round(ours["p50_ms"] / row["p50_ms"], 2)
            row["onelook_p99_ratio"] = round(ours["p99_ms"] / row["p99_ms"], 2)
    return rows


def table(rows, bare):
    shown = [
        "| server | connections | requests/s | p50 ms | p99 ms | memory MB | onelook's divided by this: throughput, p50, p99 |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in sorted(rows, key=lambda row: row["connections"]):
        ratio = "other setting is better" if row["family"] != "onelook" else ""
        if "onelook_throughput_ratio" in row:
            ratio = f"{row['onelook_throughput_ratio']}x, {row['onelook_p50_ratio']}x, {row['onelook_p99_ratio']}x"
        refused = f" (NOT 200: {row['not_200']})" if row["not_200"] else ""
        shown.append(
            f"| {row['server']}{refused} | {row['connections']} | {row['rps']} | {row['p50_ms']} | {row['p99_ms']} | {row['memory_mb']} | {ratio} |"
        )
    ours = max((row for row in rows if row["family"] == "onelook"), key=lambda row: row["connections"])
    shown.append(
        f"\nBare engine {bare:.2f} images/s; onelook serve at {ours['connections']} connections {ours['rps'] / bare:.3f} of it."
    )
    return "\n".join(shown)


def cpu_model():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def versions(arguments):
    pins = [
        line for name in ("peers", "peers-ultralytics") for line in (REQUIREMENTS / f"{name}.txt").read_text().split()
    ]
    shown = subprocess.run([arguments.onelook, "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    return {"onelook": shown, "commit": commit, "packages": sorted(set(pins))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", default=ROOT / "target/release/onelook", help="the binary")
    parser.add_argument("--model", required=True, help="the .pt")
    parser.add_argument("--onnx", required=True, help="the same network, 1x3x640x640 or the image's rectangle")
    parser.add_argument("--rect", action="store_true", help="work on the image's rectangle; --onnx has its shape")
    parser.add_argument("--image", required=True, help="a JPEG")
    parser.add_argument(
        "--ultralytics-python", help="an interpreter that has ultralytics, instead of an environment of our own"
    )
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["ultralytics"], help="leave a peer out (said in the result)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="per load")
    parser.add_argument("--warm", type=int, default=3, help="seconds of load before it counts")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--bare-images", type=int, default=200, help="images of the bare engine's run")
    parser.add_argument("--json", help="file to write [default: benches/results/DATE-serving.json]")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        try:
            everyone, runs, bare, boxes = measure(arguments, environments.tool("hey"), pathlib.Path(temporary))
        except (environments.Missing, Ended) as error:
            sys.exit(f"bench.py: {error}")
    rows = summary(everyone, runs, arguments.connections)
    engine = statistics.median(bare)
    result = {
        "what": f"serving: throughput and latency at 640, {'rectangle' if arguments.rect else 'square'}",
        "image": pathlib.Path(arguments.image).name,
        "model": pathlib.Path(arguments.model).name,
        "objects": len(boxes),
        "cpu": f"{cpu_model()}, {os.cpu_count()} logical cores",
        "seconds_per_load": arguments.seconds,
        "left_out": arguments.without,
        **versions(arguments),
        "bare_engine_per_second": round(engine, 2),
        "rows": rows,
        "runs": [
            {"server": name, "connections": load_size, **each}
            for (name, load_size), kept in runs.items()
            for each in kept
        ],
    }
    path = pathlib.Path(arguments.json or HERE.parent / "results" / f"{datetime.date.today()}-serving.json")
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"{len(boxes)} boxes from every server on {result['image']}, {result['cpu']}, {arguments.rounds} rounds of {arguments.seconds} s"
    )
    print(table(rows, engine))
    print(f"Written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
