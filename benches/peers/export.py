"""Writes a detection checkpoint as ONNX with a fixed batch: CHECKPOINT|NAME.yaml BATCH SIZE OUT.onnx.

Runs in the environment of requirements-torch.txt, as a process of its own: the exporter, ultralytics, is AGPL
and is only ever used from outside. A name such as yolo11s.yaml is that architecture with random weights, for
times alone.
"""

import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch
from ultralytics import YOLO


def with_statistics(model):
    """Normalisations as a few random images leave them, so that random weights give values of ordinary size."""
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.rand(2, 3, 128, 128))
    model.eval()


def main():
    source, batch, size, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
    torch.manual_seed(7)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if source.endswith(".yaml"):
            model = YOLO(source)
            for module in model.model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = 0.5
            with_statistics(model.model)
        else:
            # The exporter writes beside the checkpoint, so it gets a copy.
            model = YOLO(shutil.copy(source, folder))
        written = model.export(format="onnx", batch=batch, imgsz=size, opset=17, simplify=True)
        shutil.move(written, target)


main()
