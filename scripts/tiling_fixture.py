"""Writes crates/onelook-vision/tests/fixtures/tiling.json: what sahi and ensemble-boxes make of random detections.

    pip install sahi==0.12.8 opencv-python-headless ensemble-boxes==1.0.9 numba pandas
    python scripts/tiling_fixture.py

Both are MIT. Coordinates are multiples of a quarter, so that single and double precision agree.
"""

import json
import pathlib
import random

import numpy as np
from ensemble_boxes import weighted_boxes_fusion
from sahi.postprocess.backends import set_postprocess_backend
from sahi.postprocess.combine import GreedyNMMPostprocess, NMMPostprocess, NMSPostprocess
from sahi.prediction import ObjectPrediction
from sahi.slicing import get_slice_bboxes

OUT = pathlib.Path(__file__).parent.parent / "crates/onelook-vision/tests/fixtures/tiling.json"
SIDE = 1024
RULES = {"nms": NMSPostprocess, "nmm": NMMPostprocess, "greedy_nmm": GreedyNMMPostprocess}


def scene(generator, objects):
    """Objects seen once to four times, cut and shifted as tiles do; scores differ."""
    scores = generator.sample(range(100, 1000), 4 * objects)
    rows = []
    for _ in range(objects):
        w, h = generator.randint(16, 240), generator.randint(16, 240)
        x, y = generator.randint(0, SIDE - w), generator.randint(0, SIDE - h)
        label = generator.randrange(3)
        for _ in range(generator.randint(1, 4)):
            sides = [x, y, x + w, y + h]
            sides = [side + generator.randint(-16, 16) / 4 for side in sides]
            if generator.random() < 0.3:
                sides[2] -= generator.randint(1, w // 2)
            if generator.random() < 0.1:
                label = generator.randrange(3)
            rows.append([*sides, scores.pop() / 1000, label])
    generator.shuffle(rows)
    return rows


def merged(rows, method, metric, threshold, agnostic):
    objects = [ObjectPrediction(bbox=row[:4], score=row[4], category_id=row[5], category_name=str(row[5])) for row in rows]
    process = RULES[method](match_threshold=threshold, match_metric=metric, class_agnostic=agnostic)
    result = [[*map(float, it.bbox.to_xyxy()), it.score.value, it.category.id] for it in process(objects)]
    return sorted(result, key=lambda row: -row[4])


def fused(rows, threshold):
    boxes = [[side / SIDE for side in row[:4]] for row in rows]
    boxes, scores, labels = weighted_boxes_fusion([boxes], [[r[4] for r in rows]], [[r[5] for r in rows]], iou_thr=threshold)
    rows = [[*(box * SIDE), score, int(label)] for box, score, label in zip(boxes, scores, labels)]
    return [[*(round(float(v), 4) for v in row[:5]), row[5]] for row in rows]


def main():
    set_postprocess_backend("numpy")
    generator = random.Random(5)
    slices = []
    for width, height, w, h, overlap in [
        (640, 480, 640, 640, 0.2),
        (1920, 1080, 640, 640, 0.2),
        (1000, 700, 512, 320, 0.25),
        (8000, 6000, 1280, 1280, 0.1),
        (641, 1, 640, 640, 0.5),
        (1280, 1280, 640, 640, 0.0),
    ]:
        boxes = get_slice_bboxes(height, width, h, w, False, overlap, overlap)
        slices.append({"image": [width, height], "tile": [w, h], "overlap": overlap, "tiles": boxes})
    scenes = []
    for objects in (1, 12, 20):
        rows = scene(generator, objects)
        # Clipped, as ensemble-boxes does.
        rows = [[*(min(max(side, 0.0), float(SIDE)) for side in row[:4]), *row[4:]] for row in rows]
        cases = []
        for method in RULES:
            for metric in ("IOU", "IOS"):
                for threshold in (0.3, 0.5):
                    for agnostic in (True, False):
                        case = {"method": method, "metric": metric, "threshold": threshold, "agnostic": agnostic}
                        cases.append({**case, "merged": merged(rows, method, metric, threshold, agnostic)})
        for threshold in (0.3, 0.55):
            case = {"method": "weighted_boxes", "metric": "IOU", "threshold": threshold, "agnostic": False}
            cases.append({**case, "merged": fused(rows, threshold)})
        scenes.append({"detections": rows, "cases": cases})
    OUT.write_text(json.dumps({"slices": slices, "scenes": scenes}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
