"""Many cameras through one `onelook serve`: fair shares, ages, memory, and what disturbed cameras do to the others.

    python3 scripts/streams/soak.py --server rtsp_server.py --clip clip.mp4 --onelook target/release/onelook \\
        --model yolo11n.pt [--minutes 15] [--streams 16]

`--server` is a program as `cameras.py` wants it, run by `--python`. Two of them serve the cameras: of the first, one camera is
garbled, one freezes, one slows down to a twentieth; the second one, with five cameras, is killed and started again. That happens in the
middle third. The cameras that nobody disturbs are looked at in each third: their shares of the frames that were run, and
the worst delay from a frame's arrival to its result. All must run at the end, and memory must not grow after the first third.
"""

import argparse
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

DISTURBED = 3
KILLED = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    return json.loads(urllib.request.urlopen(request, timeout=10).read() or b"null")


class Cameras:
    """A process that serves cameras, which can be killed and started again on the same port."""

    def __init__(self, args, count, place):
        self.args, self.count, self.place, self.port = args, count, place, free_port()
        self.start()

    def start(self):
        ready = pathlib.Path(self.place) / f"ready-{self.port}-{time.monotonic_ns()}"
        words = [self.args.python, self.args.server, self.args.clip, "-n", self.count, "--gop", 25, "--port", self.port,
                 "--control", 0, "--ready-file", ready, "--start-at", "random"]
        self.process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not ready.exists() or not ready.read_text().strip():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit("the cameras do not start")
            time.sleep(0.1)
        told = json.loads(ready.read_text())
        self.urls, self.control = told["urls"], told["control"]

    def order(self, what):
        call(f"http://127.0.0.1:{self.control}/{what}", "POST")

    def kill(self):
        self.process.kill()
        self.process.wait()


def memory_mb(pid):
    """Resident memory of a process and of the ffmpeg processes that it has started."""
    parents, sizes = {}, {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(entry.name)], sizes[int(entry.name)] = int(fields[1]), int(fields[21]) * 4096
    family = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in family} - family
        if not more:
            own = sizes.get(pid, 0)
            return own / 1e6, (sum(sizes.get(one, 0) for one in family) - own) / 1e6
        family |= more


def watch(base, pid, seconds):
    """Looks twice a second: frames that each stream had run, its worst delay, memory at the end."""
    before = {card["name"]: card for card in call(f"{base}/v1/streams")["streams"]}
    delays, end, begun = {}, time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        for card in call(f"{base}/v1/streams")["streams"]:
            if card["delay_ms"] is not None:
                delays[card["name"]] = max(delays.get(card["name"], 0), card["delay_ms"])
        time.sleep(0.5)
    after = {card["name"]: card for card in call(f"{base}/v1/streams")["streams"]}
    taken = time.monotonic() - begun
    rates = {name: (after[name]["frames_run"] - before[name]["frames_run"]) / taken for name in after}
    return rates, delays, memory_mb(pid), after


def show(title, undisturbed, rates, delays, memory):
    own = [rates[name] for name in undisturbed]
    row = {
        "undisturbed_fps": [round(min(own), 2), round(statistics.median(own), 2), round(max(own), 2)],
        "all_fps": round(sum(rates.values()), 1),
        "worst_delay_ms": round(max(delays.get(name, 0) for name in undisturbed), 1),
        "server_mb": round(memory[0], 1),
        "ffmpeg_mb": round(memory[1], 1),
    }
    print(f"{title:12} {json.dumps(row)}", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--onelook", default="target/release/onelook")
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    third = args.minutes * 20
    with tempfile.TemporaryDirectory() as place:
        steady = Cameras(args, args.streams - KILLED, place)
        killed = Cameras(args, KILLED, place)
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [args.onelook, "serve", "--model", args.model, "--port", str(port), "--grpc-port", "none", "--max-streams",
             str(args.streams), "--allow-stream-host", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            failures = soak(args, base, server.pid, steady, killed, third)
        finally:
            server.terminate()
            server.wait()
            for cameras in (steady, killed):
                cameras.kill()
    for failure in failures:
        print(f"FAILED: {failure}")
    print("passed" if not failures else f"{len(failures)} FAILED")
    sys.exit(bool(failures))


def soak(args, base, pid, steady, killed, third):
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{base}/readyz", timeout=5)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    names = []
    for group, cameras in (("steady", steady), ("killed", killed)):
        for number, url in enumerate(cameras.urls):
            names.append(f"{group}{number}")
            call(f"{base}/v1/streams", "POST", {"name": names[-1], "url": url})
    disturbed = [f"steady{number}" for number in range(DISTURBED)]
    undisturbed = [name for name in names if name.startswith("steady") and name not in disturbed]
    watch(base, pid, 15)
    rows, failures = {}, []
    rates, delays, memory, _ = watch(base, pid, third)
    rows["before"] = show("before", undisturbed, rates, delays, memory)
    killed.kill()
    steady.order("cam0/garble?percent=50")
    steady.order(f"cam1/stall?seconds={third * 0.6:.0f}")
    steady.order("cam2/rate?factor=0.05")
    rates, delays, memory, cards = watch(base, pid, third * 0.6)
    rows["disturbed"] = show("disturbed", undisturbed, rates, delays, memory)
    print("  states", {name: cards[name]["state"] for name in disturbed + [name for name in names if name.startswith("killed")]})
    killed.start()
    steady.order("cam0/garble?percent=0")
    steady.order("cam2/rate?factor=1")
    # The longest pause before a camera is tried again is 30 s.
    watch(base, pid, max(40, third * 0.4))
    rates, delays, memory, cards = watch(base, pid, third)
    rows["after"] = show("after", undisturbed, rates, delays, memory)
    for name, row in rows.items():
        least, _, most = row["undisturbed_fps"]
        if most > 1.25 * least:
            failures.append(f"{name}: undisturbed cameras have {least} to {most} frames a second")
    if rows["disturbed"]["undisturbed_fps"][1] < 0.95 * rows["before"]["undisturbed_fps"][1]:
        failures.append("the undisturbed cameras lost frames to the disturbed ones")
    away = [name for name, card in cards.items() if card["state"] != "running" or rates[name] == 0]
    if away:
        failures.append(f"not back: {away}")
    if rows["after"]["server_mb"] > 1.1 * rows["before"]["server_mb"] + 20:
        failures.append("the server's memory grew")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return failures


if __name__ == "__main__":
    main()
