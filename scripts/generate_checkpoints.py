#!/usr/bin/env python3
"""Writes checkpoints of every scale of the families we read, with random weights, and the maps
that PyTorch computes from them, for crates/onelook-graph/tests/real_pt.

    pip install ultralytics      # runs as a separate program; nothing of it is kept
    python scripts/generate_checkpoints.py FOLDER [NAME...]    # NAME, NAME-fused or a .pt file
    ONELOOK_GENERATED_CHECKPOINTS=FOLDER cargo test -p onelook-graph --test real_pt -- --ignored

Per model: NAME.pt (half precision, as training leaves it), NAME.input.npy, and per head (`one` for
end-to-end, `many`) and output NAME.one.0.npy ... in the order of the graph's outputs.
"""

import pathlib
import sys

import numpy
import torch
from ultralytics import YOLO

FAMILIES = ("yolov8", "yolo11", "yolo26")
SCALES = "nsmlx"
HEIGHT, WIDTH = 64, 96


def randomise(model):
    """Gives normalisations statistics that matter, so that a wrong fold shows, and keeps values
    of ordinary size by normalising with what a random image gives."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    model.train()
    for norm in norms:
        norm.momentum = 0.5
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, 3, 64, 64))
    model.eval()
    for norm in norms:
        norm.weight.data.uniform_(0.8, 1.2)
        norm.bias.data.uniform_(-0.3, 0.3)


def branches(head):
    if getattr(head, "cv2", None) is not None:
        yield "many", head.cv2, head.cv3
    if getattr(head, "one2one_cv2", None) is not None:
        yield "one", head.one2one_cv2, head.one2one_cv3


def generate(folder, name):
    torch.manual_seed(hash_of(name))
    if name.endswith(".pt"):
        model = YOLO(name).model
        name = pathlib.Path(name).stem
    else:
        model = YOLO(f"{name.removesuffix('-fused')}.yaml").model
        randomise(model)
    if name.endswith("-fused"):
        model.eval().fuse()
    model.half()
    torch.save({"epoch": -1, "ema": None, "model": model, "train_args": {"imgsz": 320}},
               folder / f"{name}.pt")
    model.float()
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    numpy.save(folder / f"{name}.input.npy", image.numpy())
    head = model.model[-1]
    seen = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(list(inputs[0])))
    with torch.no_grad():
        model(image)
        hook.remove()
        for kind, boxes, classes in branches(head):
            maps = [m for level, x in enumerate(seen[0]) for m in (boxes[level](x), classes[level](x))]
            for index, value in enumerate(maps):
                numpy.save(folder / f"{name}.{kind}.{index}.npy", value.contiguous().numpy())
    print(name, sum(p.numel() for p in model.parameters()), flush=True)


def hash_of(name):
    return sum(ord(letter) << (5 * position) for position, letter in enumerate(name)) % (1 << 31)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:] or [family + scale for scale in SCALES for family in FAMILIES]
    for name in names:
        generate(folder, name)


if __name__ == "__main__":
    main()
