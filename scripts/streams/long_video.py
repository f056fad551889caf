"""Shows that a long video goes on after its program was killed, and that a full disk ends a run with a whole file.

    python3 scripts/streams/long_video.py --onelook target/release/onelook --model MODEL --clip CLIP [--hours 2] [--fps 1]

Makes a video of so many hours by looping the clip, one of an even rate and one of uneven times, runs `track` or
`count` over it once without an interruption and once killed (SIGKILL) at random moments and resumed, and compares
all that both leave: JSON lines, CSV, tracks, labels and events to the byte (but for times of work), videos frame by
frame with the times that ffprobe gives for the original, to the millisecond. Then fills a disk (a tmpfs, which needs
root) and looks at what is left.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ZONE = "all=0,0,192,0,192,144,0,144"
UNEVEN = "settb=1/90000,setpts=(N/{fps}+mod(N*7919\\,13)*0.03/{fps})*90000"


def make(clip, path, seconds, fps, is_even):
    """A video with sound; of uneven times every frame is late by up to 0.36 of a frame."""
    filters = f"fps={fps},scale=192:144" + ("" if is_even else "," + UNEVEN.format(fps=fps))
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", "-1", "-i", clip, "-f", "lavfi"]
        + ["-i", "sine=r=8000", "-map", "0:v:0", "-map", "1:a", "-t", str(seconds), "-vf", filters]
        + ["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-c:v", "libx264", "-preset", "ultrafast"]
        + ["-g", "100", "-bf", "2", "-c:a", "aac", "-b:a", "16k", str(path)],
        check=True,
    )


def times(path):
    """Times of all frames in seconds, by ffprobe, in the order in which they are shown."""
    listed = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", str(path)],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout
    return sorted(float(line.strip(",")) for line in listed.splitlines() if line.strip(","))


def lines(path):
    """The lines of a file; those of JSON without times of work."""
    with open(path) as file:
        if path.suffix != ".jsonl":
            return file.read().splitlines()
        records = [json.loads(line) for line in file]
    for record in records:
        for measured in ("speed_ms", "age_ms"):
            record.pop(measured, None)
    return records


def compare(whole, killed, original):
    """What differs between two runs, as a list of words."""
    names = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) for root in (whole, killed)]
    wrong = []
    if names[0] != names[1]:
        wrong.append(f"files differ: {set(names[0]) ^ set(names[1])}")
    expected = times(original)
    for name in names[0]:
        if name not in names[1]:
            continue
        if name.endswith(".mp4"):
            for root in (whole, killed):
                shown = times(root / name)
                worst = max((abs(a - b) for a, b in zip(shown, expected)), default=0.0)
                print(f"  {root.name}/{name}: {len(shown)} of {len(expected)} frames, times off by {worst * 1e3:.3f} ms at most")
                if len(shown) != len(expected) or worst >= 0.001:
                    wrong.append(f"{root.name}/{name}")
        elif lines(whole / name) != lines(killed / name):
            wrong.append(name)
    records = killed / "predictions.jsonl"
    if records.is_file():
        told = [(record["frame"], record["time"]) for record in lines(records)]
        numbers = [frame for frame, _ in told]
        worst = max(abs(at - b) for (_, at), b in zip(told, expected))
        print(f"  predictions.jsonl: frames {numbers[0]} to {numbers[-1]}, times off by {worst * 1e3:.3f} ms at most")
        if numbers != list(range(1, len(expected) + 1)) or worst >= 0.001:
            wrong.append("frames or times of predictions.jsonl")
    print(f"  {len(names[0])} files compared")
    return wrong


def killed_run(command, kills, duration, directory):
    """Runs it to its end; killed so often at random moments before. Frames that each attempt has told of."""
    for attempt in range(kills + 1):
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if attempt < kills:
            time.sleep(random.uniform(0.3, 2 * duration / (kills + 1)))
            process.kill()
        said = process.communicate()[0].splitlines()
        resumed = [line for line in said if "going on in" in line]
        print(f"  attempt {attempt + 1}: exit {process.returncode}; {resumed[0] if resumed else 'from the start'}")
        if process.returncode == 0:
            return True
        if attempt == kills:
            print("\n".join(said[-5:]))
    return False


def full_disk(arguments, directory, original):
    """A run whose disk fills up; what is wrong with how it ends."""
    mount = directory / "small disk"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mount)], stderr=subprocess.PIPE, text=True)
    if mounted.returncode:
        print(f"  SKIPPED: no disk can be mounted: {mounted.stderr.strip()}")
        return []
    try:
        wrong = []
        for saves, ending in (["save=True"], ".mp4"), (["save=False", "save_json"], ".jsonl"):
            command = [arguments.onelook, "predict", f"model={arguments.model}", f"source={original}", "imgsz=64", "conf=0.001"]
            command += ["device=cpu", "verbose=False", f"project={mount}", f"name=run{ending}"] + saves
            run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory)
            last = run.stderr.strip().splitlines()[-1]
            print(f"  {saves}: exit {run.returncode}: {last}")
            if run.returncode != 1 or "No space left on device" not in last or ending not in last:
                wrong.append(f"{saves}: {last}")
            left = last.rsplit("what was written so far is in '", 1)[-1].rstrip("'\"}")
            if ending == ".mp4":
                shown = times(left)
                decoded = subprocess.run(
                    ["ffmpeg", "-v", "error", "-i", left, "-f", "null", "-"], stderr=subprocess.PIPE, text=True
                )
                print(f"  what is left plays: {len(shown)} frames, {decoded.stderr.strip() or 'no complaint'}")
                wrong += [] if shown and not decoded.stderr else [f"{left} does not play"]
            else:
                count = len(lines(pathlib.Path(left).rename(mount / "left.jsonl")))
                print(f"  what is left reads: {count} lines")
            subprocess.run(["rm", "-rf"] + [str(path) for path in mount.iterdir()], check=True)
        return wrong
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onelook", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--fps", type=float, default=1.0)
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--checkpoint-every", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    arguments.onelook = str(pathlib.Path(arguments.onelook).resolve())
    arguments.model = arguments.model if "/" not in arguments.model else str(pathlib.Path(arguments.model).resolve())
    random.seed(arguments.seed)
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        saves = ["save_json", "save_csv", "save_txt", "verbose=False", f"imgsz={arguments.imgsz}", "device=cpu"]
        cases = [
            ("even", True, ["track", "--save-mot", "tracker=bytetrack"]),
            ("uneven", False, ["count", "tracker=bytetrack", "--zone", ZONE, "--events", "EVENTS"]),
        ]
        for name, is_even, command in cases:
            original = scratch / f"{name}.mp4"
            make(arguments.clip, original, arguments.hours * 3600, arguments.fps, is_even)
            print(f"{name}: {len(times(original))} frames in {arguments.hours} hours, {command[0]}")
            runs = []
            for kind in ("whole", "killed"):
                words = [word.replace("EVENTS", f"{name}-{kind}.events.jsonl") for word in command]
                words = [arguments.onelook, *words, f"source={original}", f"model={arguments.model}", *saves]
                words += [f"project={scratch / 'runs' / kind}", f"name={name}"]
                runs.append(words)
            began = time.monotonic()
            subprocess.run(runs[0], cwd=scratch, stdout=subprocess.DEVNULL, check=True)
            duration = time.monotonic() - began
            print(f"  uninterrupted: {duration:.0f} s")
            words = runs[1] + ["resume", f"checkpoint_every={arguments.checkpoint_every}"]
            if not killed_run(words, arguments.kills, duration, scratch):
                wrong.append(f"{name}: the last attempt failed")
            wrong += compare(scratch / "runs/whole" / name, scratch / "runs/killed" / name, original)
            events = [scratch / f"{name}-{kind}.events.jsonl" for kind in ("whole", "killed")]
            if events[0].is_file():
                told = [lines(path) for path in events]
                print(f"  {len(told[0])} events, {len(told[1])} of the killed run")
                wrong += [] if told[0] == told[1] else [f"{name}: events"]
        print("a full disk:")
        wrong += full_disk(arguments, scratch, scratch / "even.mp4")
    print("wrong: " + "; ".join(wrong) if wrong else "all is as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
