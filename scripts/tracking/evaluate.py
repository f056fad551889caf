"""Scores of tracks in the format of the MOTChallenge, by TrackEval with the rules of MOT15."""

import contextlib
import io
import tempfile
from pathlib import Path

import trackeval

SEQUENCES = (
    "ADL-Rundle-6", "ADL-Rundle-8", "ETH-Bahnhof", "ETH-Pedcross2", "ETH-Sunnyday", "KITTI-13",
    "KITTI-17", "PETS09-S2L1", "TUD-Campus", "TUD-Stadtmitte", "Venice-2",
)  # fmt: skip
COLUMNS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW")


def sequence_info(folder):
    """Frame rate and number of frames of a sequence."""
    pairs = (line.split("=", 1) for line in (folder / "seqinfo.ini").read_text().splitlines() if "=" in line)
    info = {key.strip(): value.strip() for key, value in pairs}
    return float(info["frameRate"]), int(info["seqLength"])


def renumbered(text, frames):
    """Lines of these frames alone, numbered from 1; `None` for all of them as they are."""
    if frames is None:
        return text
    place = {frame: index + 1 for index, frame in enumerate(frames)}
    lines = []
    for line in text.splitlines():
        frame, rest = line.split(",", 1)
        if int(frame) in place:
            lines.append(f"{place[int(frame)]},{rest}\n")
    return "".join(lines)


def scores(truth, tracks, lengths):
    """Scores by sequence and of all together, in percent; `truth` and `tracks` are texts by sequence."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, text in truth.items():
            (folder / "gt" / name / "gt").mkdir(parents=True)
            (folder / "gt" / name / "gt" / "gt.txt").write_text(text)
        (folder / "tracks" / "t" / "data").mkdir(parents=True)
        for name, text in tracks.items():
            (folder / "tracks" / "t" / "data" / f"{name}.txt").write_text(text)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator = trackeval.Evaluator(
                {"PRINT_RESULTS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False,
                 "PLOT_CURVES": False, "TIME_PROGRESS": False, "PRINT_CONFIG": False}
            )  # fmt: skip
            data = trackeval.datasets.MotChallenge2DBox(
                {"GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "tracks"),
                 "BENCHMARK": "MOT15", "SKIP_SPLIT_FOL": True, "SEQ_INFO": lengths, "PRINT_CONFIG": False}
            )  # fmt: skip
            metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(), trackeval.metrics.Identity()]
            results, _ = evaluator.evaluate([data], metrics)
    table = {}
    for name, result in results["MotChallenge2DBox"]["t"].items():
        result = result["pedestrian"]
        hota = {key: 100 * float(result["HOTA"][key].mean()) for key in ("HOTA", "DetA", "AssA")}
        clear, identity = result["CLEAR"], result["Identity"]
        table[name] = hota | {
            "MOTA": 100 * float(clear["MOTA"]),
            "IDF1": 100 * float(identity["IDF1"]),
            "IDSW": int(clear["IDSW"]),
        }
    return table
