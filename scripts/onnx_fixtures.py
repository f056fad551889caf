#!/usr/bin/env python3
"""Write what ONNX Runtime computes, at a few anchors, as fixtures of onelook-graph's tests.

usage: onnx_fixtures.py DATA_DIR FIXTURES_DIR   (needs numpy and onnxruntime)

DATA_DIR holds onnx/*.onnx and reference/bus_letterbox640_rgb_chw_u8.npy. One line per anchor: its
index, then all rows of the output.
"""
import pathlib
import sys

import numpy as np
import onnxruntime

data, fixtures = map(pathlib.Path, sys.argv[1:])
image = np.load(data / "reference/bus_letterbox640_rgb_chw_u8.npy")
image = image[None].astype(np.float32) / np.float32(255)
for path in sorted((data / "onnx").glob("*.onnx")):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    output = session.run(None, {session.get_inputs()[0].name: image})[0][0]
    anchors = output.shape[1]
    even = range(anchors // 80, anchors, anchors // 40)
    best = np.argsort(-output[4:].max(axis=0), kind="stable")[:10]
    lines = []
    for anchor in sorted({*even, *best.tolist()}):
        lines.append(" ".join([str(anchor), *(f"{value:.6g}" for value in output[:, anchor])]))
    target = fixtures / f"{path.stem}-bus.txt"
    target.write_text("\n".join(lines) + "\n")
    print(target, target.stat().st_size)
