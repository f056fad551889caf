"""The short script that people write today: MODEL.onnx IMAGE, boxes on standard output."""

import sys

import cv2
import numpy as np
import onnxruntime as ort

model, path = sys.argv[1:3]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
image = cv2.imread(path)
height, width = image.shape[:2]
scale = 640 / max(height, width)
fitted = cv2.resize(image, (round(width * scale), round(height * scale)))
top, left = (640 - fitted.shape[0]) // 2, (640 - fitted.shape[1]) // 2
canvas = np.full((640, 640, 3), 114, np.uint8)
canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
(output,) = session.run(None, {session.get_inputs()[0].name: tensor})
rows = output[0].T
classes, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
boxes = np.column_stack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]])
kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), 0.25, 0.7)
for x, y, w, h, score, kind in [(*boxes[i], scores[i], classes[i]) for i in kept]:
    x, y, w, h = (x - left) / scale, (y - top) / scale, w / scale, h / scale
    print(f"{kind} {score:.3f} {x:.1f} {y:.1f} {x + w:.1f} {y + h:.1f}")
