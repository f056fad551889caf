"""Real clients against `onelook serve`, one command: starts the server, runs every client, prints a table.

    python3 clients.py --onelook target/release/onelook --data ../shared/data

Clients: tritonclient (HTTP, gRPC; compared with the real Triton server), KServe SDK, perf_analyzer,
Ultralytics, two DeepStack clients, the curl lines of the README, promtool, an OpenAPI validator, schemathesis.
Exit status 1 on any failure; a missing tool is a failure too, or, with --allow-missing, a loud SKIPPED.
Environments are made on the first run, see environments.py.
"""

import argparse
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

import environments
import readme_lines
from process import Ended, Onelook, Server, free_ports, request
from report import Report, Skipped, expect, expect_equal

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Setting:
    """What every area gets: the server under test, its data, and a folder for results."""

    def __init__(self, arguments, work):
        self.arguments, self.work, self.report = arguments, work, None
        data = pathlib.Path(arguments.data).resolve()
        self.model = arguments.model or data / "weights" / "yolo11n-recon.pt"
        self.onnx = arguments.onnx or data / "onnx" / "yolo11n-recon.onnx"
        self.image = data / "reference" / "bus_letterbox640_rgb_chw_u8.npy"
        self.clip = data / "tracking" / "PETS09-S2L1" / "pets09-s2l1-300.mp4"
        self.images = [data / "images" / "bus.jpg", data / "images" / "zidane.jpg"]
        for path in (self.model, self.onnx, self.image, self.clip, *self.images, pathlib.Path(arguments.onelook)):
            if not pathlib.Path(path).exists():
                sys.exit(f"clients.py: {path} not found; see --help for the flag that names it")

    def environment(self, name):
        try:
            return environments.python(name)
        except environments.Missing as error:
            raise Skipped(str(error)) from error

    def child(self, command, environment=None, seconds=600):
        """Output of a client process; its failure is the check's failure."""
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=seconds)
        expect(done.returncode == 0, f"exit {done.returncode}: {(done.stdout[-1500:] + done.stderr[-1500:]).strip()}")
        return done.stdout

    def suite(self, area, name, script, options):
        """A client script with a report of its own: its results become ours."""
        result = self.work / f"{script}.json"
        result.unlink(missing_ok=True)
        command = [self.environment(name), HERE / script, *options, "--json", result]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
        if not result.exists():
            raise AssertionError(f"{script} gave no result: {done.stderr[-1500:]}")
        for each in json.loads(result.read_text())["results"]:
            self.report.add(f"{each['area']}: {each['name']}", each["status"], each["detail"], each["seconds"])

    def predict(self, image):
        """Boxes of `onelook predict rect=False`, which every client has to see as well."""
        line = self.child([self.arguments.onelook, "predict", "--model", self.model, "--source", image,
                           "--rect", "false", "--save", "false", "--json", "--quiet"])  # fmt: skip
        return json.loads(line.splitlines()[0])["detections"]


def triton(setting, ours):
    http, grpc, metrics = free_ports(3)
    interpreter = setting.environment("oracle")
    command = [interpreter, HERE / "oracle_triton.py", "--onnx", setting.onnx, "--name", "yolo11n"]
    command += ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
    changed = dict(os.environ, PATH=f"{interpreter.parent}:{os.environ['PATH']}")
    ready = f"http://127.0.0.1:{http}/v2/models/yolo11n/ready"
    options = ["--http", address(ours.url), "--grpc", ours.grpc, "--image", setting.image, "--manage"]
    if ours.has_second:
        options += ["--second-model", "second"]
    with Server(command, ready, "triton", environment=changed, log=setting.work / "triton.log"):
        options += ["--oracle-http", f"127.0.0.1:{http}", "--oracle-grpc", f"127.0.0.1:{grpc}"]
        setting.suite("tritonclient", "triton", "client_triton.py", options)


def kserve(setting, ours):
    options = ["--http", ours.url, "--grpc", ours.grpc, "--image", setting.image]
    setting.suite("kserve", "kserve", "client_kserve.py", options)


def perf_analyzer(setting, ours):
    try:
        binary, environment = environments.perf_analyzer()
    except environments.Missing as error:
        raise Skipped(str(error)) from error

    def measure(protocol, at, concurrency):
        table = setting.work / f"perf-{protocol}-{concurrency}.csv"
        output = setting.child(
            [binary, "-m", "yolo11n", "-u", at, "-i", protocol, "--shape", "images:3,640,640", "--concurrency-range", concurrency,
             "--measurement-interval", 3000, "--max-trials", 4, "--stability-percentage", 60, "-f", table],
            environment, 180)  # fmt: skip
        expect("Server:" in output, f"perf_analyzer read no server statistics: {output[-600:]}")
        for line in output.splitlines():
            label, _, count = line.strip().partition(": ")
            expect("ailed" not in label or count.strip() in ("0", ""), line)
        row = next(csv.DictReader(table.open()))
        return f"{row['Inferences/Second']} infer/s, p50 {row['p50 latency']} us, p99 {row['p99 latency']} us"

    for protocol, at in (("http", address(ours.url)), ("grpc", ours.grpc)):
        for concurrency in (1, 4):
            name = f"perf_analyzer {protocol}, concurrency {concurrency}"
            setting.report.check(name, lambda p=protocol, a=at, c=concurrency: measure(p, a, c))


def ultralytics(setting, ours):
    given = setting.arguments.ultralytics_python
    environment = dict(os.environ, YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")
    if given:
        try:
            environment["PYTHONPATH"] = str(environments.ultralytics_path(given))
        except environments.Missing as error:
            raise Skipped(str(error)) from error
    interpreter = given or setting.environment("ultralytics")

    def boxes(url):
        output = setting.child(
            [interpreter, HERE / "client_ultralytics.py", "--url", url, *setting.images], environment
        )
        found = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[7:])
        return "; ".join(same_boxes(found[str(each)], setting.predict(each), each.name) for each in setting.images)

    setting.report.check("Ultralytics over HTTP: boxes of onelook predict", lambda: boxes(f"{ours.url}/yolo11n"))
    setting.report.check(
        "Ultralytics over gRPC: boxes of onelook predict", lambda: boxes(f"grpc://{ours.grpc}/yolo11n")
    )


def same_boxes(got, wanted, name):
    """Boxes within 0.5 px and confidences within 0.002, each expected box used once."""
    expect_equal(len(got), len(wanted), f"boxes on {name}")
    left, worst, worst_score = list(wanted), 0.0, 0.0
    for each in got:

        def distance(other, each=each):
            return max(abs(a - other["box"][key]) for a, key in zip(each["box"], ("x1", "y1", "x2", "y2")))

        nearest = min((other for other in left if other["class"] == each["class"]), key=distance, default=None)
        expect(nearest is not None, f"{name}: no {each['name']} is expected: {each}")
        left.remove(nearest)
        expect_equal(each["name"], nearest["name"], "class name")
        worst = max(worst, distance(nearest))
        worst_score = max(worst_score, abs(each["confidence"] - nearest["confidence"]))
    expect(worst <= 0.5, f"{name}: a box is {worst:.3f} px off")
    expect(worst_score <= 0.002, f"{name}: a confidence is {worst_score:.4f} off")
    return f"{name}: {len(got)} boxes within {worst:.3f} px and {worst_score:.5f}"


def own_api(setting, ours):
    image = setting.images[0]

    def detect(body, kind):
        status, _, answer = request(f"{ours.url}/v1/detect?rect=false", body, {"Content-Type": kind})
        expect_equal(status, 200, f"status ({answer[:300]!r})")
        found = json.loads(answer)["images"][0]["detections"]
        for each in found:
            each["box"] = [each["box"][key] for key in ("x1", "y1", "x2", "y2")]
        return same_boxes(found, setting.predict(image), image.name)

    setting.report.check(
        "POST /v1/detect: boxes of onelook predict", lambda: detect(image.read_bytes(), "image/jpeg")
    )


def deepstack(setting, ours):
    expected = setting.work / "expected.json"
    # DeepStack's route has no rect parameter: the expectation is the default prediction.
    line = setting.child([setting.arguments.onelook, "predict", "--model", setting.model, "--source", setting.images[0],
                          "--save", "false", "--json", "--quiet"])  # fmt: skip
    expected.write_text(json.dumps(json.loads(line.splitlines()[0])["detections"]))
    options = ["--url", ours.url, "--image", setting.images[0], "--expected", expected]
    setting.suite("deepstack", "deepstack", "client_deepstack.py", options)


def promtool(setting, ours):
    try:
        binary = environments.tool("promtool")
    except environments.Missing as error:
        raise Skipped(str(error)) from error

    def check():
        status, _, text = request(f"{ours.url}/metrics")
        expect_equal(status, 200, "status of /metrics")
        done = subprocess.run([binary, "check", "metrics"], input=text, capture_output=True, timeout=30)
        said = (done.stdout + done.stderr).decode().strip()
        # Names of Triton are kept as its tools read them; promtool's advice on naming them is not ours to take.
        own = [line for line in said.splitlines() if line and not line.startswith("nv_")]
        expect(done.returncode in (0, 3) and not own, f"exit {done.returncode}: {said}")
        return f"{len(text.splitlines())} lines; promtool on nv_*: {said or 'nothing to say'}"

    setting.report.check("promtool check metrics", check)


def openapi(setting, ours):
    interpreter = setting.environment("openapi")

    def validate():
        status, headers, text = request(f"{ours.url}/openapi.json")
        expect_equal(status, 200, "status of /openapi.json")
        expect("json" in headers.get("content-type", headers.get("Content-Type", "")), f"headers {headers}")
        document = json.loads(text)
        expect(document["openapi"].startswith("3.1"), f"version {document['openapi']}")
        file = setting.work / "openapi.json"
        file.write_bytes(text)
        setting.child([interpreter.parent / "openapi-spec-validator", file])
        return f"OpenAPI {document['openapi']}, {len(document['paths'])} paths"

    setting.report.check("openapi-spec-validator", validate)


def schemathesis(setting, ours):
    """A server of its own: the generated calls load and unload models."""
    interpreter = setting.environment("openapi")
    command = interpreter.parent / "schemathesis"
    runs = {
        "everything but unload": ["--exclude-path-regex", "unload"],
        "load and unload": ["--include-path-regex", "(un)?load"],
    }
    with Onelook(
        setting.arguments.onelook, [f"yolo11n={setting.model}"], log=setting.work / "schemathesis-server.log"
    ) as server:
        for name, chosen in runs.items():

            def fuzz(name=name, chosen=chosen):
                done = subprocess.run(
                    list(map(str, [command, "--config-file", HERE / "schemathesis.toml", "run", f"{server.url}/openapi.json", *chosen,
                                   "--max-examples", setting.arguments.examples, "--workers", 1, "--request-timeout", 30])),
                    capture_output=True, text=True, timeout=1200, cwd=setting.work)  # fmt: skip
                (setting.work / f"schemathesis-{'-'.join(name.split())}.txt").write_text(done.stdout + done.stderr)
                expect(server.alive(), f"the server ended: {server.log_tail()}")
                expect("panicked" not in server.log_text(), "a panic in the server's log")
                expect(done.returncode == 0, f"exit {done.returncode}: {failures_of(done.stdout)}")
                return " ".join(done.stdout.strip().splitlines()[-1].strip("= ").split())

            setting.report.check(f"schemathesis, {name}", fuzz)


def failures_of(output):
    """The part of schemathesis' output that names its failures, on one line; the whole is kept beside."""
    part = output.partition("= FAILURES =")[2].partition("= WARNINGS =")[0] or output
    return " ".join(part.strip("= \n").split())[:2500]


def readme(setting, _):
    """The README's lines under a heading with Serve, as written, in a folder that has the files they name."""
    blocks = readme_lines.blocks(pathlib.Path(setting.arguments.readme).read_text(), "serve")
    if not blocks:
        raise AssertionError(f"{setting.arguments.readme} has no ```sh block under a heading with Serve")
    folder = setting.work / "readme"
    folder.mkdir(exist_ok=True)
    for name, source in (
        ("yolo11n.pt", setting.model),
        ("bus.jpg", setting.images[0]),
        ("zidane.jpg", setting.images[1]),
        ("clip.mp4", setting.clip),
    ):
        shutil.copy(source, folder / name)
    # Nobody is there: a server with cameras and a broker serves all the same.
    (folder / "cameras.toml").write_text('[[streams]]\nname = "gate"\nurl = "rtsp://127.0.0.1:9/gate"\n')
    (folder / "password.txt").write_text("secret")
    (folder / "password.txt").chmod(0o600)
    environment = dict(
        os.environ, PATH=f"{pathlib.Path(setting.arguments.onelook).resolve().parent}:{os.environ['PATH']}"
    )
    readme_lines.run(setting.report, blocks, folder, environment, setting.arguments.ultralytics_python)


AREAS = {
    "own": own_api, "triton": triton, "kserve": kserve, "perf": perf_analyzer, "ultralytics": ultralytics, "deepstack": deepstack,
    "promtool": promtool, "openapi": openapi, "schemathesis": schemathesis, "readme": readme,
}  # fmt: skip


def address(url):
    return urllib.parse.urlsplit(url).netloc


def run_areas(setting, chosen):
    models = [f"yolo11n={setting.model}"]
    second = setting.arguments.second_model
    if second:
        models.append(f"second={second}")
    with Onelook(setting.arguments.onelook, models, log=setting.work / "onelook.log") as ours:
        ours.has_second = bool(second)
        for name in chosen:
            setting.report = Report(name)
            try:
                AREAS[name](setting, ours)
            except Skipped as reason:
                setting.report.add(
                    "the whole area",
                    "skipped" if setting.arguments.allow_missing else "failed",
                    f"cannot run: {reason}",
                )
            except Exception as error:
                setting.report.add("the whole area", "failed", f"{type(error).__name__}: {error}")
            yield from setting.report.results
        ending = Report("server")
        ending.check("no panic in the log", lambda: expect("panicked" not in ours.log_text(), ours.log_tail()))
        ending.check(
            "alive to the end, ends when asked",
            lambda: expect_equal((ours.alive(), ours.stop()), (True, 0), "alive, exit status"),
        )
        yield from ending.results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", default=ROOT / "target/release/onelook", help="the binary")
    parser.add_argument(
        "--data",
        default=os.environ.get("ONELOOK_TEST_DATA", ROOT.parent / "shared" / "data"),
        help="folder of the test data",
    )
    parser.add_argument("--model", help="the .pt to serve [default: yolo11n-recon.pt of the data]")
    parser.add_argument("--onnx", help="the same network for the real Triton, 1x3x640x640")
    parser.add_argument("--second-model", help="a model with several outputs, to ask for them by name")
    parser.add_argument(
        "--ultralytics-python", help="an interpreter that has ultralytics, instead of an environment of our own"
    )
    parser.add_argument("--readme", default=ROOT / "README.md")
    parser.add_argument("--examples", type=int, default=30, help="schemathesis: examples per operation")
    parser.add_argument("--only", nargs="+", choices=AREAS, help="these areas")
    parser.add_argument("--allow-missing", action="store_true", help="a missing tool is SKIPPED instead of FAILED")
    parser.add_argument("--keep", help="folder for logs and outputs of the tools")
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(arguments.keep or temporary).resolve()
        work.mkdir(parents=True, exist_ok=True)
        setting = Setting(arguments, work)
        total = Report("all")
        try:
            for result in run_areas(setting, arguments.only or list(AREAS)):
                total.extend([result])
        except Ended as error:
            total.add("start onelook serve", "failed", error)
        total.notes = {"binary": str(arguments.onelook), "model": str(setting.model)}
        return total.finish(arguments.json, arguments.allow_missing)


if __name__ == "__main__":
    sys.exit(main())
