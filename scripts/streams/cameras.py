"""Shows that a camera that fails comes back: dead, frozen, garbled, slow, one after the other.

    python3 scripts/streams/cameras.py --server rtsp_server.py --clip clip.mp4 --onelook target/release/onelook --model MODEL

`--server` is a program that serves a clip as rtsp://127.0.0.1:PORT/cam0 and takes orders by HTTP (POST /cam0/stall?seconds=8,
kill?seconds=8, garble?percent=20, rate?factor=0.1); it is called as `SERVER CLIP --gop 25 --port 0 --control 0 --ready-file FILE`
and writes {"urls": [...], "control": PORT} to FILE when it is ready. `--python` runs it.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


class Frames:
    """The lines of `onelook predict --json`, with the time that each came."""

    def __init__(self, process):
        self.times, self.warnings = [], []
        self.lock = threading.Lock()
        threading.Thread(target=self.read, args=(process.stdout, self.times), daemon=True).start()
        threading.Thread(target=self.read, args=(process.stderr, self.warnings), daemon=True).start()

    def read(self, pipe, into):
        for line in pipe:
            with self.lock:
                into.append((time.monotonic(), json.loads(line)))

    def since(self, start):
        with self.lock:
            return [(at - start, line) for at, line in self.times if at >= start]

    def wait(self, start, count, seconds):
        deadline = time.monotonic() + seconds
        while len(self.since(start)) < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def order(control, what):
    request = urllib.request.Request(f"http://127.0.0.1:{control}/cam0/{what}", method="POST")
    urllib.request.urlopen(request, timeout=10).read()


def rate(frames):
    """Frames a second of the last three seconds, and the longest gap between frames in them."""
    start = time.monotonic()
    time.sleep(3)
    times = [at for at, _ in frames.since(start)]
    gaps = [b - a for a, b in zip([0.0] + times, times + [3.0])]
    return len(times) / 3, max(gaps)


def descendants(pid):
    """Processes that onelook started and that are still there."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    return [line.split() for line in listed.splitlines()]


def is_running(pid):
    """A zombie is not: whoever adopted it may be slow to take note of its end."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True).stdout.strip()
    return listed != "" and not listed.startswith("Z")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--onelook", required=True)
    parser.add_argument("--model", default="yolo11n.yaml")
    parser.add_argument("--user", default="watcher")
    parser.add_argument("--password", default="hunter2-secret")
    args = parser.parse_args()
    ready = pathlib.Path(tempfile.mkdtemp()) / "ready.json"
    server = subprocess.Popen(
        [args.python, args.server, args.clip, "--gop", "25", "--port", "0", "--control", "0", "--ready-file", str(ready),
         "--user", args.user, "--password", args.password], stderr=subprocess.DEVNULL,
    )
    failed = []
    try:
        while not ready.exists() or not ready.read_text():
            time.sleep(0.1)
        told = json.loads(ready.read_text())
        url = told["urls"][0].replace("rtsp://", f"rtsp://{args.user}:{args.password}@")
        words = [args.onelook, "predict", f"model={args.model}", "imgsz=64", "save=False", "--json", "source=" + url]
        onelook = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        frames = Frames(onelook)
        start = time.monotonic()

        def check(name, fine, detail=""):
            print(f"{'ok    ' if fine else 'FAILED'} {time.monotonic() - start:6.1f} s  {name} {detail}", flush=True)
            if not fine:
                failed.append(name)

        check("first frame", frames.wait(start, 1, 15), f"after {(frames.since(start) or [(99, 0)])[0][0]:.2f} s")
        check("frames come", *(lambda r: (r[0] > 5, f"{r[0]:.1f} fps, longest gap {r[1]:.2f} s"))(rate(frames)))
        listed = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True).stdout.splitlines()
        of_ffmpeg = [line for line in listed if "ffmpeg" in line and "predict" not in line]
        check("no password in ffmpeg's words", of_ffmpeg and not any(args.password in line for line in of_ffmpeg))
        for what, seconds in [("kill?seconds=6", 6), ("stall?seconds=12", 12)]:
            at = time.monotonic()
            order(told["control"], what)
            time.sleep(seconds)
            back = frames.wait(time.monotonic(), 20, 40)
            check(what, back, f"frames again {time.monotonic() - at:.1f} s after the order, warnings {len(frames.warnings)}")
        order(told["control"], "garble?percent=20")
        check("garble?percent=20", *(lambda r: (r[0] > 3, f"{r[0]:.1f} fps"))(rate(frames)))
        order(told["control"], "garble?percent=0")
        order(told["control"], "rate?factor=0.1")
        check("rate?factor=0.1", *(lambda r: (0.3 < r[0] < 6, f"{r[0]:.1f} fps"))(rate(frames)))
        order(told["control"], "rate?factor=1")
        check("rate?factor=1", *(lambda r: (r[0] > 5, f"{r[0]:.1f} fps"))(rate(frames)))
        shown = json.dumps([line for _, line in frames.times + frames.warnings])
        check("no password in lines or warnings", args.password not in shown)
        children = descendants(onelook.pid)
        check("one ffmpeg, no zombie", len(children) == 1 and "Z" not in children[0][1], str(children))
        # Killed while the camera is frozen: nothing is left.
        order(told["control"], "stall?seconds=60")
        time.sleep(1)
        left = [int(pid) for pid, _ in descendants(onelook.pid)]
        onelook.kill()
        onelook.wait()
        time.sleep(1)
        left = [pid for pid in left if is_running(pid)]
        check("killed while frozen: no orphan", not left, str(left))
        for at, line in frames.warnings:
            print(f"       {at - start:6.1f} s  {line}")
    finally:
        server.terminate()
        server.wait()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
