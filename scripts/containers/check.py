"""The images of containers/Dockerfile: built from prebuilt parts, and tried as they are meant to be run.

    python3 scripts/containers/check.py --binary target/release/onelook --wheel target/wheels/onelook-*.whl [--json FILE]
    python3 scripts/containers/check.py --binary target/debug/onelook --package crates/onelook-python [--limit 200]

Without a registry the base image is made by mmdebstrap from Debian's packages. A Docker daemon that runs is used, else a
private one is started, which needs root, and ended. Where none can be had the exit code is 77 and the last line says why.
`--package` makes a wheel of the package's folder and the binary as they are, for trying the workbench of a
development build. `--twice` builds the runtime image a second time without the cache and compares the two as image_archive.py writes them.
`--out` keeps what people get: the images as archives with equal digests for equal contents, and what is in them as SPDX.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import image_archive
import sbom
from daemon import Unavailable, docker
from development_wheel import development_wheel

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
# Everything that can be taken away from a container.
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--binary", required=True, type=pathlib.Path)
parser.add_argument("--wheel", type=pathlib.Path, help="without it there is no workbench")
parser.add_argument("--package", type=pathlib.Path, help="in place of --wheel")
parser.add_argument("--base", help="an image of Debian bookworm [default: made by mmdebstrap]")
parser.add_argument("--limit", type=float, default=60, help="most megabytes of the runtime image")
parser.add_argument("--ffmpeg", action="store_true", help="try the image with ffmpeg too")
parser.add_argument("--twice", action="store_true")
parser.add_argument("--out", type=pathlib.Path, help="folder for archives and lists of contents")
parser.add_argument("--features", default="parquet,nats,kafka", help="that the binary was built with")
parser.add_argument("--json", type=pathlib.Path)
args = parser.parse_args()
failures = []
figures = {}


def check(what, holds, more=""):
    print(f"{'PASSED' if holds else 'FAILED'}   {what} {more}".rstrip(), flush=True)
    if not holds:
        failures.append(what)


def until(seconds, happened):
    """Whether it happened in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.3)
    return False


def base_image(client):
    """Debian without a registry."""
    if args.base:
        return args.base
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder) / "base.tar"
        without = [f"--dpkgopt=path-exclude=/usr/share/{it}/*" for it in ("doc", "man", "locale", "info")]
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "--dpkgopt=force-unsafe-io",
             *without, "bookworm", archive],
            check=True,
        )  # fmt: skip
        client.run("import", archive, "onelook-base:bookworm")
    return "onelook-base:bookworm"


def try_networks(client, base):
    """Builds need the package mirror, and the tests reach containers by their addresses: both must be possible here."""
    words = ["run", "--rm", "--network", "host", base, "apt-get", "update", "--quiet"]
    if client.run(*words, check=False, timeout=300).returncode:
        raise Unavailable("containers cannot reach the package mirror")
    with Container(client, base, "sleep", "60") as other:
        try:
            socket.create_connection((other.address(), 9), timeout=10).close()
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise Unavailable(f"containers cannot be reached from here: {error}") from None


def build(client, target, base, *more):
    """An image of the Dockerfile, as `onelook:TARGET`."""
    began = time.monotonic()
    secret = ["--secret", f"id=ca,src={CERTIFICATES}"] if CERTIFICATES.is_file() else []
    client.run(
        "build", "--file", ROOT / "containers/Dockerfile", "--target", target, "--tag", f"onelook:{target}",
        "--build-arg", f"BASE={base}", "--build-arg", "FROM=prebuilt", "--network", "host", *secret, *more, ROOT,
        timeout=1200,
    )  # fmt: skip
    size = int(client.run("image", "inspect", f"onelook:{target}", "--format", "{{.Size}}").stdout) / 1e6
    figures[target] = {"mb": round(size, 1), "seconds": round(time.monotonic() - began, 1)}
    print(f"built    {target}: {size:.1f} MB in {figures[target]['seconds']} s", flush=True)
    return size


def archive(client, target, path):
    """The image as an archive whose digest depends on its contents alone; gives the digest."""
    saved = path.with_suffix(".saved")
    client.run("save", "--output", saved, f"onelook:{target}")
    digest = image_archive.rewrite(saved, path, image_archive.epoch_of_environment())
    saved.unlink()
    return digest


class Container:
    """Runs until the end of the block."""

    def __init__(self, client, *words):
        self.client = client
        self.name = client.run("run", "--detach", *words).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.run("rm", "--force", self.name, check=False)

    def logs(self):
        done = self.client.run("logs", self.name, check=False)
        return done.stdout + done.stderr

    def state(self, template):
        return self.client.run("inspect", "--format", template, self.name).stdout.strip()

    def address(self):
        return self.state("{{.NetworkSettings.IPAddress}}")

    def is_healthy(self):
        return self.state("{{.State.Health.Status}}") == "healthy"


def get(url, **headers):
    """Status of an answer; 0 if there is none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def mounts(place):
    """Folders of the host that anybody in a container may write."""
    words = []
    for name in ("models", "data", "runs", "logs"):
        folder = place / name
        folder.mkdir()
        folder.chmod(0o777)
        words += ["--volume", f"{folder}:/{name}"]
    return words


def runtime(client, tag, place):
    place.mkdir()
    volumes = mounts(place)
    shutil.copy(ROOT / "assets/sample.jpg", place / "data/sample.jpg")
    image = f"onelook:{tag}"

    done = client.run("run", "--rm", *LOCKED, image, "doctor", check=False)
    check(f"{tag}: doctor, read-only and without capabilities", done.returncode == 0, done.stderr[-300:])
    words = ["predict", "model=yolo11n.yaml", "source=/data/sample.jpg", "project=/runs", "name=first"]
    done = client.run("run", "--rm", *LOCKED, *volumes, image, *words, check=False)
    written = place / "runs/first/sample.jpg"
    check(f"{tag}: predict on mounts", done.returncode == 0 and written.is_file(), done.stderr[-300:])
    check(f"{tag}: no root", written.is_file() and written.stat().st_uid == 65532)
    done = client.run("run", "--rm", "--entrypoint", "/bin/sh", image, "-c", "true", check=False)
    check(f"{tag}: a shell", (done.returncode == 0) == (tag != "runtime"), "as meant: only with ffmpeg")
    serve = ["serve", "--model", "yolo11n.yaml", "--log-dir", "/logs"]
    with Container(client, *LOCKED, *volumes, "--health-interval", "1s", image, *serve) as server:
        check(f"{tag}: the server turns healthy", until(180, server.is_healthy), server.logs()[-300:])
        check(f"{tag}: it answers", get(f"http://{server.address()}:8000/readyz") == 200)
        client.run("stop", "--time", "20", server.name)
        check(f"{tag}: it ends by SIGTERM", server.state("{{.State.ExitCode}}") == "0", server.logs()[-300:])
    check(f"{tag}: logs on the mount", any((place / "logs").iterdir()))


def killed(client, place):
    """A batch job whose container is killed loses nothing and goes on."""
    place.mkdir()
    volumes = mounts(place)
    shutil.copy(ROOT / "assets/sample.jpg", place / "data/sample.jpg")
    lines = 400
    (place / "data/list.txt").write_text("/data/sample.jpg\n" * lines, encoding="utf-8")
    words = ["predict", "model=yolo11n.yaml", "imgsz=64", "manifest=/data/list.txt", "out=/runs/job", "part_size=20",
             "resume"]  # fmt: skip
    parts = lambda: sorted((place / "runs/job").glob("*.jsonl"))  # noqa: E731
    kills = 0
    while kills < 3:
        before = len(parts())
        with Container(client, *LOCKED, *volumes, "onelook:runtime", *words) as job:
            until(60, lambda before=before: len(parts()) > before + 1 or job.state("{{.State.Running}}") == "false")
            if job.state("{{.State.Running}}") == "false":
                break
            client.run("kill", job.name, check=False)
            kills += 1
    check("a job's container was killed while it ran", kills > 0, f"{kills} times")
    done = client.run("run", "--rm", *LOCKED, *volumes, "onelook:runtime", *words, check=False)
    rows = [json.loads(line) for part in parts() for line in part.read_text(encoding="utf-8").splitlines()]
    once = sorted(row["index"] for row in rows) == list(range(lines))
    check("it goes on, and each line has one row", done.returncode == 0 and once, f"{len(rows)} rows")


def ssh(address, key, *words, user="onelook", more=()):
    return subprocess.run(
        ["ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
         "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *more, f"{user}@{address}", *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def workbench(client, place):
    place.mkdir()
    volumes = mounts(place)
    shutil.copy(ROOT / "assets/sample.jpg", place / "data/sample.jpg")
    key = place / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8").strip()
    writable = ("--tmpfs", "/run:mode=1777,exec", "--tmpfs", "/home/onelook:mode=1777,exec")
    settings = ("--env", f"SSH_AUTHORIZED_KEYS={public}", "--env", "JUPYTER_TOKEN=secret-of-this-test")
    words = (*LOCKED, *writable, *volumes, *settings, "--user", "1234:1234", "--health-interval", "1s")
    with Container(client, *words, "onelook:workbench") as bench:
        check("workbench: healthy, read-only, without capabilities, any uid", until(180, bench.is_healthy), bench.logs()[-500:])
        address = bench.address()
        jupyter = f"http://{address}:8888/api/contents"
        check("workbench: Jupyter refuses without the token", get(jupyter) == 403)
        check("workbench: Jupyter answers with it", get(jupyter, Authorization="token secret-of-this-test") == 200)
        check("workbench: the token is not in the log", "secret-of-this-test" not in bench.logs())
        done = ssh(address, key, "id -u; command -v onelook python jupyter git ffmpeg")
        lines = done.stdout.splitlines()
        check("workbench: SSH takes the key, tools are on the PATH", len(lines) == 6 and lines[0] == "1234", done.stdout + done.stderr)
        by_password = ("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive")
        done = ssh(address, key, "true", more=by_password)
        check("workbench: SSH refuses passwords", "Permission denied (publickey)" in done.stderr, done.stderr.strip())
        done = ssh(address, key, "true", user="root")
        check("workbench: SSH refuses root", done.returncode == 255 and "denied" in done.stderr, done.stderr.strip())
        job = ("seq 30 | sed s,.*,/data/sample.jpg, > /data/list.txt && onelook predict model=yolo11n.yaml imgsz=64 "
               "manifest=/data/list.txt out=/runs/job resume detach && onelook jobs follow /runs/job --quiet")  # fmt: skip
        done = ssh(address, key, job)
        parts = list((place / "runs/job").glob("*.jsonl"))
        rows = sum(len(part.read_text(encoding="utf-8").splitlines()) for part in parts)
        check("workbench: a job over SSH leaves its results on the mount", rows == 30, done.stdout[-300:] + done.stderr[-300:])
        logs = sorted(path.name for path in (place / "logs").iterdir())
        check("workbench: logs on the mount", "workbench-jupyter.log" in logs, str(logs))
        cell = "import onelook, numpy; print(len(onelook.Model('yolo11n.yaml')(numpy.zeros((64, 64, 3), 'uint8'), verbose=False)))"
        done = ssh(address, key, f'cd && python -c "{cell}" && ls notebooks/en')
        check("workbench: the package and the notebooks", done.stdout.startswith("1\n") and "ipynb" in done.stdout, done.stdout + done.stderr[-500:])


def publish(client, out):
    """Archives and lists of contents of the images that were built."""
    out.mkdir(parents=True, exist_ok=True)
    for target in [target for target in ("runtime", "runtime-ffmpeg", "workbench") if target in figures]:
        path = out / f"onelook-{target}.tar"
        figures[target]["digest"] = archive(client, target, path)
        contents = sbom.document(path, args.features, image_archive.epoch_of_environment())
        (out / f"onelook-{target}.spdx.json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
        check(f"{target}: its list of contents has packages", len(contents["packages"]) > 10, str(len(contents["packages"])))


def main(client):
    context = ROOT / "target/containers"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    shutil.copy(args.binary, context / "onelook")
    subprocess.run(["strip", context / "onelook"], check=False)
    os.chmod(context / "onelook", 0o755)
    if args.wheel:
        shutil.copy(args.wheel, context)
    if args.package:
        args.wheel = development_wheel(args.package, context / "onelook", context)
    # Copied files keep their dates: equal ones make equal images.
    for path in [*context.iterdir(), context]:
        os.utime(path, (0, 0))
    base = base_image(client)
    try_networks(client, base)
    size = build(client, "runtime", base)
    check(f"runtime: at most {args.limit:.0f} MB", size <= args.limit, f"{size:.1f} MB")
    if args.twice:
        with tempfile.TemporaryDirectory() as folder:
            first = archive(client, "runtime", pathlib.Path(folder) / "first.tar")
            build(client, "runtime", base, "--no-cache")
            second = archive(client, "runtime", pathlib.Path(folder) / "second.tar")
        check("runtime: two builds have one digest", first == second, str(first))
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        place.chmod(0o755)
        runtime(client, "runtime", place / "runtime")
        killed(client, place / "killed")
        if args.ffmpeg:
            build(client, "runtime-ffmpeg", base)
            runtime(client, "runtime-ffmpeg", place / "ffmpeg")
        if args.wheel:
            build(client, "workbench", base)
            workbench(client, place / "workbench")
    if args.out:
        publish(client, args.out)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


try:
    with docker() as client:
        main(client)
except Unavailable as reason:
    print(f"SKIPPED  containers were NOT tried: {reason}")
    sys.exit(SKIPPED)
print(f"{len(failures)} FAILED" if failures else "all passed")
sys.exit(bool(failures))
