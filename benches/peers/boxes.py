"""What is the same for every engine: images in, boxes out, how far two answers lie apart, and the metric."""

import contextlib
import io
import json
import pathlib

import cv2
import numpy as np

PADDING = 114


def letterbox(image, size):
    """An image in the middle of a square, as [3][size][size] bytes, red first; with its scale and offsets."""
    height, width = image.shape[:2]
    scale = min(size / height, size / width)
    new_width, new_height = round(width * scale), round(height * scale)
    if (new_width, new_height) != (width, height):
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    left, top = round((size - new_width) / 2 - 0.1), round((size - new_height) / 2 - 0.1)
    square = np.full((size, size, 3), PADDING, np.uint8)
    square[top : top + new_height, left : left + new_width] = image
    return square[:, :, ::-1].transpose(2, 0, 1), (scale, left, top, width, height)


def prepare(data, size, target, limit=None):
    """Writes the images of a COCO data set to `target` as the workers read them; their ids and placements."""
    images = json.loads((data / "instances.json").read_text())["images"][:limit]
    placements = []
    with open(target, "wb") as file:
        for entry in images:
            path = data / "images" / pathlib.Path(entry["file_name"]).name
            planes, placement = letterbox(cv2.imread(str(path)), size)
            file.write(np.ascontiguousarray(planes).tobytes())
            placements.append((entry["id"], placement))
    return placements


def corners(output):
    """One image's [4 + classes][anchors] as corner boxes [anchors][4] in pixels and scores [anchors][classes]."""
    x, y, width, height = output[:4]
    box = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    return box, output[4:].T


def suppress(box, score, label, iou, most):
    """Greedy NMS per class: indices of what is kept, highest score first."""
    order = np.argsort(-score, kind="stable")[:30000]
    box = box[order] + label[order, None] * 10000.0
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    alive, kept = np.arange(len(order)), []
    while len(alive) and len(kept) < most:
        first, alive = alive[0], alive[1:]
        kept.append(order[first])
        low, high = np.maximum(box[first, :2], box[alive, :2]), np.minimum(box[first, 2:], box[alive, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        alive = alive[shared <= iou * (area[first] + area[alive] - shared)]
    return np.array(kept, int)


def detect(output, confidence, iou=0.7, most=300):
    """Boxes, scores and classes of one image; an anchor may give several classes."""
    box, scores = corners(output)
    anchor, label = np.nonzero(scores > confidence)
    score = scores[anchor, label]
    kept = suppress(box[anchor], score, label, iou, most)
    return box[anchor[kept]], score[kept], label[kept]


def difference(reference, answer, confidence=0.25, least=100):
    """The largest distance of box edges (pixels) and of scores, and how many boxes were compared.

    Compared are the anchors for which the reference gives a score above `confidence`, before NMS; where these
    are few, because the weights are random, the `least` highest of each image.
    """
    pixels, scores, compared = 0.0, 0.0, 0
    for one, other in zip(reference, answer):
        (box, score), (other_box, other_score) = corners(one), corners(other)
        best = score.max(1)
        chosen = np.nonzero(best > confidence)[0]
        if not len(chosen):
            chosen = np.argsort(-best)[:least]
        if not np.isfinite(other).all():
            return float("inf"), float("inf"), len(chosen)
        pixels = max(pixels, float(np.abs(box - other_box)[chosen].max()))
        scores = max(scores, float(np.abs(score - other_score)[chosen].max()))
        compared += len(chosen)
    return pixels, scores, compared


def mean_precision(outputs, placements, data):
    """COCO's mAP50-95 and mAP50 in percent, by pycocotools; `outputs` gives one image's output after the other."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = []
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data / "instances.json"))
        categories = COCO_CATEGORIES
        for output, (image, (scale, left, top, width, height)) in zip(outputs, placements):
            box, score, label = detect(output, 0.001)
            box = (box - [left, top, left, top]) / scale
            box = box.clip(0, [width, height, width, height])
            for (x1, y1, x2, y2), value, number in zip(box.tolist(), score.tolist(), label.tolist()):
                results.append({"image_id": image, "category_id": categories[number], "score": value,
                                "bbox": [x1, y1, x2 - x1, y2 - y1]})
        if not results:
            return 0.0, 0.0
        metric = COCOeval(truth, truth.loadRes(results), "bbox")
        metric.params.imgIds = [image for image, _ in placements]
        metric.evaluate()
        metric.accumulate()
        metric.summarize()
    return 100 * float(metric.stats[0]), 100 * float(metric.stats[1])


# COCO numbers its 80 classes from 1 to 90 with gaps.
COCO_CATEGORIES = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
