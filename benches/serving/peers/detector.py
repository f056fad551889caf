"""The detector both onnxruntime peers use: image bytes in, boxes out; OpenCV decodes, numpy does the rest.

Written to be fast where that is cheap: candidates are filtered by confidence before anything else is done
with them, and suppression works on those alone. Confidence 0.25, IoU 0.7, at most 300 boxes; the input has the size that the ONNX file says.
"""

import ast

import cv2
import numpy as np
import onnxruntime

CONFIDENCE, IOU, MOST, PADDING = 0.25, 0.7, 300, 114
# More than any side of an image: moves boxes of different classes apart, so that one pass serves all classes.
CLASS_OFFSET = 7680.0


class Detector:
    def __init__(self, onnx, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.height, self.width = self.session.get_inputs()[0].shape[2:]
        self.names = ast.literal_eval(self.session.get_modelmeta().custom_metadata_map["names"])

    def __call__(self, encoded):
        return self.boxes(*self.run(*self.prepare(encoded)))

    def prepare(self, encoded):
        """Encoded image -> tensor [1,3,height,width], scale, left and top padding, width and height."""
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError("the body is not an image")
        height, width = image.shape[:2]
        scale = min(self.height / height, self.width / width)
        new_width, new_height = round(width * scale), round(height * scale)
        if (new_width, new_height) != (width, height):
            image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
        left, top = round((self.width - new_width) / 2 - 0.1), round((self.height - new_height) / 2 - 0.1)
        canvas = np.full((self.height, self.width, 3), PADDING, np.uint8)
        canvas[top : top + new_height, left : left + new_width] = image
        tensor = cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True)
        return tensor, (scale, left, top, width, height)

    def run(self, tensor, geometry):
        return self.session.run(None, {self.input: tensor})[0][0], geometry

    def boxes(self, output, geometry):
        scale, left, top, width, height = geometry
        best = output[4:].max(axis=0)
        chosen = np.flatnonzero(best > CONFIDENCE)
        kind, score = output[4:, chosen].argmax(axis=0), best[chosen]
        x, y, w, h = output[:4, chosen]
        corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        kept = suppress(corners + kind[:, None] * CLASS_OFFSET, score)[:MOST]
        corners = (corners[kept] - [left, top, left, top]) / scale
        corners = corners.clip(0, [width, height, width, height])
        return [
            {
                "name": self.names[int(k)],
                "class": int(k),
                "confidence": float(s),
                "box": dict(zip(("x1", "y1", "x2", "y2"), map(float, b))),
            }
            for k, s, b in zip(kind[kept], score[kept], corners)
        ]


def suppress(corners, score):
    """Greedy non-maximum suppression: indices of the boxes to keep, highest confidence first."""
    order, kept = np.argsort(-score, kind="stable"), []
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low = np.maximum(corners[first, :2], corners[order, :2])
        high = np.minimum(corners[first, 2:], corners[order, 2:])
        shared = np.prod((high - low).clip(0), axis=1)
        order = order[shared / (area[first] + area[order] - shared) <= IOU]
    return np.array(kept, int)
