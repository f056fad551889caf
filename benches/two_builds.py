"""Two builds of onelook side by side, in turns: is the second one slower, heavier or different?

    python3 benches/two_builds.py OLD NEW --model yolo11n.pt --image bus.jpg --images val2017/ --val instances.json

Only the standard library is needed. Rounds alternate between the builds, the first of each is not
counted. A ratio above 1 is in favour of NEW.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time


def run(command):
    """Wall seconds, peak resident bytes and standard output of a command that must succeed."""
    with tempfile.TemporaryFile() as out:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{command} ended with {process.returncode}")
        return seconds, usage.ru_maxrss * 1024, out.read().decode()


def forward(binary, args):
    """Seconds of the forward pass: the median of one `bench`."""
    report = json.loads(run([binary, "bench", f"model={args.model}", f"runs={args.runs}", "--json"])[2])
    return report["median_ms"] / 1000


def memory(binary, args):
    """Peak bytes of one `predict`."""
    return run([binary, "predict", f"model={args.model}", f"source={args.image}", "device=cpu", "--no-save"])[1]


def folder(binary, args):
    """Seconds per image of `predict` over the images."""
    command = [binary, "predict", f"model={args.model}", f"source={args.folder}", "device=cpu", "--no-save", "--json"]
    seconds, _, lines = run(command)
    if len(lines.splitlines()) != args.count:
        raise SystemExit(f"{binary} gave {len(lines.splitlines())} of {args.count} images")
    return seconds / args.count


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serving(binary, args):
    """Seconds per request of a server with several connections."""
    port = free_port()
    flags = ["--port", str(port), "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [binary, "serve", "--model", args.model, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        body = pathlib.Path(args.image).read_bytes()

        def ask(connection):
            connection.request("POST", "/v1/detect", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            return answer.status

        for _ in range(300):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                if ask(connection) == 200:
                    break
            except OSError:
                pass
            if server.poll() is not None:
                raise SystemExit(f"{binary} serve ended with {server.returncode}")
            time.sleep(0.1)
        counts, end = [], time.monotonic() + args.seconds

        def client():
            connection, count = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0
            while time.monotonic() < end and ask(connection) == 200:
                count += 1
            # Whoever was not answered leaves before the end.
            counts.append(count if time.monotonic() >= end else None)

        begin = time.monotonic()
        threads = [threading.Thread(target=client) for _ in range(args.connections)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if len(counts) < args.connections or None in counts:
            raise SystemExit(f"{binary} serve did not answer every request")
        return (time.monotonic() - begin) / sum(counts)
    finally:
        server.terminate()
        server.wait()


def figures(binary, args):
    """What `val` prints, without its times."""
    report = json.loads(run([binary, "val", f"model={args.model}", f"data={args.val}", f"images={args.images}", "--json"])[2])
    return {key: value for key, value in report.items() if "ms" not in key and "seconds" not in key and key != "save_dir"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("builds", nargs=2, help="the older binary, the newer binary")
    parser.add_argument("--model", required=True)
    parser.add_argument("--image", required=True, help="a JPEG")
    parser.add_argument("--images", required=True, help="a directory of JPEGs")
    parser.add_argument("--val", help="its instances.json, for the figures of val")
    parser.add_argument("--count", type=int, default=500, help="images of the folder, repeated from --images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=60, help="forward passes of a round")
    parser.add_argument("--seconds", type=float, default=12, help="of load on the server in a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--only", nargs="*", help="some of forward, memory, folder, serving, val")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        args.folder = place
        originals = sorted(pathlib.Path(args.images).glob("*.jpg"))
        for number in range(args.count):
            shutil.copy(originals[number % len(originals)], pathlib.Path(place) / f"{number:04}.jpg")
        report = {}
        for measure in (forward, memory, folder, serving):
            if args.only and measure.__name__ not in args.only:
                continue
            pairs = []
            for round_number in range(args.rounds + 1):
                order = args.builds if round_number % 2 else args.builds[::-1]
                values = {binary: measure(binary, args) for binary in order}
                if round_number > 0:
                    pairs.append([values[binary] for binary in args.builds])
            ratios = sorted(old / new for old, new in pairs)
            report[measure.__name__] = {
                "old": statistics.median(old for old, _ in pairs),
                "new": statistics.median(new for _, new in pairs),
                "ratio": statistics.median(ratios),
                "ratios": ratios,
            }
            line = report[measure.__name__]
            print(f"{measure.__name__:8} old {line['old']:.6g}  new {line['new']:.6g}  old/new {line['ratio']:.3f}"
                  f"  ({ratios[0]:.3f} to {ratios[-1]:.3f})", flush=True)
        if args.val and (not args.only or "val" in args.only):
            old, new = (figures(binary, args) for binary in args.builds)
            same = old == new
            report["val"] = {"same": same, "old": old, "new": new}
            print("val      the same figures" if same else "val      other figures: see --json", flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
