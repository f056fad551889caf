"""A live stream out of `onelook track`, to a server that goes away, and as HLS.

    python3 scripts/streams/publish.py --onelook target/debug/onelook --model yolo11n.pt --clip clip.mp4

ffmpeg plays the RTSP server (`-rtsp_flags listen`). It takes the stream, is killed, and is started again; frames must
come both times, and the run must go on meanwhile. The HLS playlist must name a bounded number of segments, all of
which ffprobe can read. Last, the run's own figures: frames sent, left out, failures.
"""

import argparse
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listen(url, file):
    words = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-rtsp_flags", "listen", "-i", url, "-c", "copy", "-f", "mpegts", file]
    return subprocess.Popen(list(map(str, words)), stderr=subprocess.DEVNULL)


def frames(file):
    words = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", file]
    out = subprocess.run(list(map(str, words)), capture_output=True, text=True).stdout.split()
    return int(out[0].strip(",")) if out else 0


def wait_for(what, condition, run, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or run.poll() is not None:
            raise SystemExit(f"{what}: never")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["onelook", "model", "clip"]:
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="onelook-publish-"))
    url = f"rtsp://127.0.0.1:{free_port()}/live"
    first = listen(url, place / "first.ts")
    words = [args.onelook, "track", "--model", args.model, "--source", args.clip, "--no-save", "--no-verbose", "--imgsz", "320",
             "--publish", url, "--hls", place / "hls", "--hls-segments", "3"]
    run = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.extend(run.stdout))
    reader.start()
    size = lambda file: file.stat().st_size if file.exists() else 0
    wait_for("the first frames", lambda: size(place / "first.ts") > 20_000, run)
    first.kill()
    first.wait()
    second = listen(url, place / "second.ts")
    wait_for("frames after the server came back", lambda: size(place / "second.ts") > 20_000, run)
    code = run.wait(timeout=900)
    reader.join()
    second.wait(timeout=30)
    counts = [frames(place / name) for name in ["first.ts", "second.ts"]]
    playlist = (place / "hls/index.m3u8").read_text()
    segments = [line for line in playlist.splitlines() if line.endswith(".ts")]
    in_segments = [frames(place / "hls" / name) for name in segments]
    figures = [line.strip() for line in said if "frames sent" in line]
    print(f"  frames at the server: {counts}; segments: {in_segments}, left on disk: {len(list((place / 'hls').glob('*.ts')))}")
    print("\n".join("  " + line for line in figures))
    failures = [int(re.search(r"(\d+) failures", line)[1]) for line in figures]
    if code or min(counts) < 5 or not 1 <= len(segments) <= 3 or 0 in in_segments or len(figures) != 2:
        raise SystemExit("the live stream is not as it should be: " + "".join(said)[-2000:])
    if not (failures[0] >= 1 and failures[1] == 0):
        raise SystemExit("the server's end must be a failure of its stream alone")
    shutil.rmtree(place)
    print("the live stream came back, and nothing waited for it")


main()
