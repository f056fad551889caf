"""Scores of `onelook track` on the 11 training sequences of MOT15 and on the boxes of a PETS09 video.

Runs the trackers over recorded detections, scores the tracks by TrackEval and prints them beside the scores that
were recorded for the reference; then the same with frames dropped, which are neither fed nor scored. With
`--sequences` it prints a line per sequence as well.

    python score.py --onelook target/release/onelook --data shared/data/tracking
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

from evaluate import COLUMNS, SEQUENCES, renumbered, scores, sequence_info

TRACKERS = ("default", "bytetrack", "botsort", "ocsort", "tracktrack")
PETS_FRAMES = 300


def kept_frames(kept, name, length):
    """The frames that are fed: all, every n-th, or half of them at random."""
    if kept == "all":
        return None
    if kept.startswith("random"):
        chosen = random.Random(f"{name}-{kept.removeprefix('random')}").sample(range(1, length + 1), length // 2)
        return sorted(chosen)
    return list(range(1, length + 1, int(kept)))


def tracks(onelook, tracker, detections, length, rate, frames, folder):
    """Lines of a tracker, numbered as the frames that are fed."""
    numbers = frames or list(range(1, length + 1))
    (folder / "det.txt").write_text(renumbered(detections, frames))
    (folder / "times.txt").write_text("".join(f"{(number - 1) / rate:.6f}\n" for number in numbers))
    command = [onelook, "track", "--quiet", f"--tracker={tracker}", f"--detections={folder / 'det.txt'}"]
    command += [f"--times={folder / 'times.txt'}", f"--frames={len(numbers)}", f"--mot={folder / 'tracks.txt'}", "--json"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return (folder / "tracks.txt").read_text(), json.loads(report)["microseconds_per_frame"]


def mot15(arguments, tracker, kept):
    """Scores of a tracker by sequence and of all together; microseconds per frame."""
    truth, lines, lengths, micros = {}, {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in SEQUENCES:
            place = arguments.data / name
            rate, length = sequence_info(place)
            frames = kept_frames(kept, name, length)
            detections = (place / "det.txt").read_text()
            lines[name], spent = tracks(arguments.onelook, tracker, detections, length, rate, frames, Path(folder))
            truth[name] = renumbered((place / "gt.txt").read_text(), frames)
            lengths[name] = len(frames) if frames else length
            micros.append(spent)
    return scores(truth, lines, lengths), sum(micros) / len(micros)


def pets(arguments, tracker):
    """Scores on the boxes of a video, a tenth of which have a low confidence."""
    place = arguments.data / "PETS09-S2L1"
    rate, _ = sequence_info(place)
    frames = list(range(1, PETS_FRAMES + 1))
    detections = (place / "det-yolo11n-300.txt").read_text()
    with tempfile.TemporaryDirectory() as folder:
        lines, _ = tracks(arguments.onelook, tracker, detections, PETS_FRAMES, rate, None, Path(folder))
    truth = renumbered((place / "gt.txt").read_text(), frames)
    return scores({"PETS": truth}, {"PETS": lines}, {"PETS": PETS_FRAMES})["COMBINED_SEQ"]


def row(label, result, extra=""):
    """One line of the table."""
    values = (f"{result[column]:7.2f}" if column != "IDSW" else f"{result[column]:6d}" for column in COLUMNS)
    print(f"{label:34}", *values, extra, flush=True)


def main():
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onelook", default="target/release/onelook")
    parser.add_argument("--data", type=Path, default=Path("shared/data/tracking"))
    parser.add_argument("--trackers", nargs="+", default=TRACKERS)
    parser.add_argument("--kept", nargs="+", default=["all", "2", "4", "random0", "random1", "random2"])
    parser.add_argument("--sequences", action="store_true")
    arguments = parser.parse_args()
    recorded = {
        name: json.loads((arguments.data / "reference" / f"scores-{name}.json").read_text())
        for name in ("mot15-frcnn", "pets09-yolo11n-300")
    }
    print(f"{'':34}", *(f"{column:>7}" for column in COLUMNS))
    for tracker in arguments.trackers:
        theirs = f"ultralytics-{tracker}"
        for kept in arguments.kept:
            table, micros = mot15(arguments, tracker, kept)
            row(f"{tracker}, MOT15, {kept}", table["COMBINED_SEQ"], f"{micros:.0f} us per frame")
            if kept == "all" and theirs in recorded["mot15-frcnn"]:
                row(f"  {theirs}", recorded["mot15-frcnn"][theirs]["COMBINED_SEQ"])
            if arguments.sequences:
                for name in SEQUENCES:
                    row(f"    {name}", table[name])
        row(f"{tracker}, PETS video boxes", pets(arguments, tracker))
        if theirs in recorded["pets09-yolo11n-300"]:
            row(f"  {theirs}", recorded["pets09-yolo11n-300"][theirs]["COMBINED_SEQ"])


if __name__ == "__main__":
    main()
