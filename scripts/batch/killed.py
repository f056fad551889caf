"""A long list of images in shards, killed at random points and started again, then on a disk that is full.

    cargo build --release --features onelook-cli/parquet
    python3 -m venv VENV && VENV/bin/pip install pyarrow
    VENV/bin/python scripts/batch/killed.py --onelook target/release/onelook --model yolo11n.pt --images DIR \\
        [--count 10000] [--shards 4] [--kills 20]

Every shard runs `onelook predict --manifest LIST --shard I/N --out DIR --resume`. Between kills the parts that are there
must be readable. At the end the rows must be each line of the manifest once, equal to those of a run that nobody
disturbed, also in one file of all parts; pyarrow reads them. The full disk is a small tmpfs: needs root.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import pyarrow.dataset
import pyarrow.parquet

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--onelook", default="target/release/onelook")
parser.add_argument("--model", required=True)
parser.add_argument("--images", required=True, type=pathlib.Path)
parser.add_argument("--count", type=int, default=10_000)
parser.add_argument("--shards", type=int, default=4)
parser.add_argument("--kills", type=int, default=20)
parser.add_argument("--imgsz", type=int, default=160)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
random.seed(args.seed)
failures = []


def check(what, holds, more=""):
    print(f"{'PASSED' if holds else 'FAILED'}   {what} {more}", flush=True)
    if not holds:
        failures.append(what)


def command(place, *words):
    return [args.onelook, "predict", "--model", args.model, "--manifest", place / "list.txt", "--imgsz", args.imgsz,
            "--part-size", "100", "--out-format", "parquet", "--quiet", *words]


def start(words):
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def rows(path):
    """Of all part files, by line of the manifest."""
    return pyarrow.dataset.dataset(path, format="parquet").to_table().sort_by("index")


def main(place):
    files = sorted(path.resolve() for path in args.images.glob("*.jpg"))
    lines = [str(files[at % len(files)]) for at in range(args.count)]
    (place / "list.txt").write_text("\n".join(lines) + "\n")
    begun = time.monotonic()
    whole = start(command(place, "--out", place / "whole.parquet"))
    check("a run that nobody disturbs", whole.wait() == 0, f"{time.monotonic() - begun:.0f} s")
    # Kills come when each shard has done anything between nothing and all.
    pause = (time.monotonic() - begun) / args.kills
    expected = pyarrow.parquet.read_table(place / "whole.parquet")
    check("its rows are the manifest's lines", expected["source"].to_pylist() == lines)
    out, kills = place / "parts", 0
    for shard in range(args.shards):
        words = command(place, "--shard", f"{shard}/{args.shards}", "--out", out, "--resume")
        while True:
            process = start(words)
            if kills < args.kills * (shard + 1) // args.shards:
                time.sleep(random.uniform(0, 2 * pause))
                if process.poll() is None:
                    process.kill()
                    kills += 1
                process.wait()
                if any(out.glob("part-*")):
                    rows(out)
                continue
            code = process.wait()
            break
        check(f"shard {shard} ends", code == 0, process.stderr.read().decode())
    found = rows(out)
    check(f"after {kills} times kill -9 every line has one row", found["index"].to_pylist() == list(range(args.count)))
    check("and the rows are those of the undisturbed run", found.equals(expected))
    left = [path.name for path in out.iterdir() if path.name.endswith(".partial")]
    check("nothing half is left", not left, left)
    process = start(command(place, "--out", place / "killed.parquet", "--resume"))
    time.sleep(2 * pause)
    process.kill()
    process.wait()
    code = start(command(place, "--out", place / "killed.parquet", "--resume")).wait()
    one = pyarrow.parquet.read_table(place / "killed.parquet")
    check("one file of all parts is the same", code == 0 and one.equals(expected))
    check("its parts are gone", not (place / "killed.parquet.parts").exists())
    full_disk(place, expected)


def full_disk(place, expected):
    small = place / "small"
    small.mkdir()
    size = sum(path.stat().st_size for path in (place / "parts").glob("part-*")) // 2
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small])
    if mounted.returncode != 0:
        check("a small disk can be mounted", False)
        return
    try:
        words = command(place, "--out", small / "out", "--resume")
        process = start(words)
        code, text = process.wait(), process.stderr.read().decode()
        check("a full disk is an error that says so", code == 1 and "No space left" in text, text.strip())
        check("what was done before can be read", len(rows(small / "out")) > 0)
        subprocess.run(["mount", "-o", "remount,size=1G", small], check=True)
        code = start(words).wait()
        check("with more room it goes on", code == 0 and rows(small / "out").equals(expected))
    finally:
        subprocess.run(["umount", small], check=True)


with tempfile.TemporaryDirectory() as place:
    main(pathlib.Path(place))
print(f"{len(failures)} FAILED" if failures else "passed")
sys.exit(bool(failures))
