#!/usr/bin/env python3
"""Runs every command of the documentation site, as written, in a folder that has the files that they name.

    python3 scripts/site/commands.py --onelook target/debug/onelook

In: the site's pages (assemble.py), a binary, and the test data (`ONELOOK_TEST_DATA`, or ../shared/data). An info string
of a block says what is to be done with it: nothing, to run it; `skip="REASON"`; `until-stopped`, to stop it when it has
been seen running. `onelook serve` stays in the background for what follows on its page. Out: a line per command, how
many were run and skipped, and status 1 where one failed. Runs in a network of its own where the system allows that:
ports are free there, and a command that needs the internet fails. Needs the standard library, curl and ffmpeg.
"""

import argparse
import contextlib
import fcntl
import functools
import http.server
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts/serving"))

import assemble  # noqa: E402
import readme_lines  # noqa: E402
from report import Report, expect  # noqa: E402

IMAGES_TO_VALIDATE = 4
ISOLATED = "ONELOOK_SITE_ISOLATED"


def isolate():
    """Starts this again in a network that has nothing but itself, where the system lets us make one."""
    if os.environ.get(ISOLATED):
        # The interface of the loopback is down at first.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
        return
    make = ["unshare", "--map-root-user", "--net"]
    with contextlib.suppress(OSError):
        if subprocess.run([*make, "true"], capture_output=True).returncode == 0:
            os.environ[ISOLATED] = "1"
            os.execvp(make[0], [*make, sys.executable, *sys.argv])
    print("no network of its own: ports 8000 and 8001 have to be free", flush=True)


def serve_files(folder):
    """Serves a folder at a port of the loopback interface, until this process ends; gives its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, words)], check=True)


def lay_out(folder, data):
    """The files that commands name."""
    for name, source in {
        "yolo11n.pt": data / "weights/yolo11n-recon.pt",
        "yolo11n.onnx": data / "onnx/yolo11n-recon.onnx",
        "weights/street.pt": data / "weights/yolov8n.pt",
        "bus.jpg": data / "images/bus.jpg",
        "zidane.jpg": data / "images/zidane.jpg",
        "aerial.jpg": data / "images/bus.jpg",
        "photos/bus.jpg": data / "images/bus.jpg",
        "photos/indoors/zidane.jpg": data / "images/zidane.jpg",
        "inbox/bus.jpg": data / "images/bus.jpg",
        "assets/sample.jpg": ROOT / "assets/sample.jpg",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    ffmpeg("-i", data / "video/car-detection.mp4", "-t", 2, "-vf", "scale=1024:576", folder / "clip.mp4")
    (folder / "images.txt").write_text("bus.jpg\nzidane.jpg\nphotos/bus.jpg\n")
    (folder / "cameras.streams").write_text("clip.mp4\nclip.mp4\n")
    # A box that crosses the line of the examples.
    boxes = [f"{frame},-1,{300 + 2 * frame},200,40,80,0.9" for frame in range(1, 41)]
    (folder / "det.txt").write_text("\n".join(boxes) + "\n")
    (folder / "cameras.toml").write_text('[[streams]]\nname = "gate"\nurl = "rtsp://127.0.0.1:9/gate"\n')
    (folder / "password.txt").write_text("secret")
    (folder / "password.txt").chmod(0o600)
    lay_out_data_set(folder, data / "coco-val-subset")


def lay_out_data_set(folder, subset):
    """A few images with their objects, in COCO's form and in YOLO's."""
    found = json.loads((subset / "instances.json").read_text())
    images = sorted(found["images"], key=lambda image: image["file_name"])[:IMAGES_TO_VALIDATE]
    chosen = {image["id"]: image for image in images}
    found["images"] = images
    found["annotations"] = [one for one in found["annotations"] if one["image_id"] in chosen]
    (folder / "instances.json").write_text(json.dumps(found))
    paths = {path.name: path for path in subset.rglob("*.jpg")}
    for name in ["val2017", "set/images", "set/labels"]:
        (folder / name).mkdir(parents=True)
    for image in images:
        for name in ["val2017", "set/images"]:
            shutil.copyfile(paths[image["file_name"]], folder / name / image["file_name"])
    numbers = {category["id"]: number for number, category in enumerate(found["categories"])}
    for one in found["annotations"]:
        image = chosen[one["image_id"]]
        left, top, width, height = one["bbox"]
        across, down = image["width"], image["height"]
        centre = (left + width / 2) / across, (top + height / 2) / down
        line = [numbers[one["category_id"]], *centre, width / across, height / down]
        label = folder / "set/labels" / Path(image["file_name"]).with_suffix(".txt")
        with label.open("a") as file:
            file.write(" ".join(map(str, line)) + "\n")
    names = json.dumps([category["name"] for category in found["categories"]])
    (folder / "dataset.yaml").write_text(f"path: set\nval: images\nnames: {names}\n")


def surroundings(work, data, binary):
    """The environment of commands: this binary, a home of their own, and models from a server of this process."""
    models = work / "models"
    models.mkdir()
    registry = json.loads((ROOT / "crates/onelook/src/registry/models.json").read_text())
    address = serve_files(models)
    for name, weights in {"yolo26n": "yolo26n.pt", "yolo11n": "yolo11n-recon.pt"}.items():
        shutil.copyfile(data / "weights" / weights, models / f"{name}.pt")
        for entry in registry["models"]:
            if entry["name"] == name:
                entry["sources"] = [{"kind": "url", "url": f"{address}/{name}.pt"}]
    (work / "registry.json").write_text(json.dumps(registry))
    (work / "bin").mkdir()
    (work / "bin/onelook").symlink_to(binary)
    (work / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH"}}
    return {
        **kept,
        "PATH": f"{work / 'bin'}:{os.environ['PATH']}",
        "HOME": str(work / "home"),
        "ONELOOK_REGISTRY": str(work / "registry.json"),
        "NO_PROXY": "*",
    }


def stop_when_running(command, folder, environment):
    """Starts a command that runs until it is stopped, sees that it does, and stops it."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    time.sleep(3)
    expect(process.poll() is None, f"ended by itself with {process.returncode}")
    os.killpg(process.pid, signal.SIGTERM)
    try:
        said, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("does not end when it is asked to") from None
    expect(process.returncode in {0, 143, -signal.SIGTERM}, f"ended with {process.returncode}: {said[-400:]!r}")
    return f"ran until it was stopped, status {process.returncode}"


def run(blocks, report, folder, environment):
    """A check per command; what stands twice on the site is run once."""
    seen, page, servers = set(), None, []
    try:
        for block in blocks:
            if block["page"] != page:
                page = block["page"]
                while servers:
                    readme_lines.stop(servers.pop())
            skip = re.search(r'skip="([^"]+)"', block["mark"])
            unknown = re.sub(r'skip="[^"]+"|until-stopped', "", block["mark"]).strip()
            expect(not unknown, f"{page}: '{unknown}' behind a fence means nothing")
            for command in assemble.commands(block):
                name = f"{page}: {command}"
                is_server = command.startswith("onelook serve") and "--check-config" not in command
                if skip:
                    report.add(name, "skipped", f"needs {skip[1]}")
                elif is_server:
                    report.check(name, lambda: readme_lines.start(command, servers, folder, environment))
                elif command in seen and not servers:
                    report.add(name, "skipped", "was run already")
                elif "until-stopped" in block["mark"]:
                    report.check(name, lambda: stop_when_running(command, folder, environment))
                else:
                    report.check(name, lambda: readme_lines.succeed(command, folder, environment))
                seen.add(command)
    finally:
        for server in servers:
            readme_lines.stop(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onelook", type=Path, default=ROOT / "target/debug/onelook", help="the binary")
    parser.add_argument("--only", help="commands of pages whose name contains this word")
    parser.add_argument("--keep", type=Path, help="keep the folder of the run here")
    arguments = parser.parse_args()
    data = Path(os.environ.get("ONELOOK_TEST_DATA") or ROOT / "../shared/data").resolve()
    if not (data / "weights").is_dir():
        message = f"SKIPPED: {data} is missing: set ONELOOK_TEST_DATA to the folder of the test data"
        sys.exit(message if os.environ.get("CI") else print(message))
    isolate()
    try:
        blocks = assemble.assemble()
    except assemble.Mistake as mistake:
        sys.exit(str(mistake))
    chosen = [block for block in blocks if arguments.only is None or arguments.only in block["page"]]
    report = Report("site")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        work = arguments.keep or Path(temporary)
        folder = work / "run"
        folder.mkdir(parents=True)
        lay_out(folder, data)
        run(chosen, report, folder, surroundings(work, data, arguments.onelook.resolve()))
    reasons = {}
    for result in report.results:
        if result["status"] == "skipped":
            reasons[result["detail"]] = reasons.get(result["detail"], 0) + 1
    passed, failed = report.count("passed"), report.count("failed")
    print(f"\n{passed} commands run, {failed} FAILED, {sum(reasons.values())} skipped, {time.monotonic() - start:.0f} s")
    for reason, count in sorted(reasons.items()):
        print(f"  skipped: {count}, {reason}")
    for result in report.results:
        if result["status"] == "failed":
            print(f"  FAILED: {result['name']} - {result['detail']}")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
