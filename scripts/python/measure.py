#!/usr/bin/env python3
"""What `check_wheel.py` measures inside an environment with the wheel: a line of JSON per figure.

    measure.py MODEL IMAGE CALLS         memory, threads, asyncio, addresses
    measure.py MODEL IMAGE serve COUNT   seconds of COUNT images for each line `paths` or `array` of its input
"""

import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

import onelook
from onelook import _native


def show(name, kept, **figures):
    print(json.dumps({"name": name, "kept": bool(kept), **figures}), flush=True)


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(model, image, calls):
    small = np.ascontiguousarray(image[:96, :128])
    sizes = {}
    for call in range(1, calls + 1):
        result = model(small, imgsz=64)[0]
        result.boxes.data.sum()
        if call in (calls // 10, calls):
            gc.collect()
            sizes[call] = resident()
    first, last = sizes[calls // 10], sizes[calls]
    kept = last <= first * 1.02
    mb = {f"after_{call}": f"{size / 1e6:.2f} MB" for call, size in sizes.items()}
    show("memory over calls", kept, **mb, more=f"{100 * (last / first - 1):.2f} %")


def threads(model, image):
    crops = [np.ascontiguousarray(image[:, 8 * start :]) for start in range(16)]
    expected = [model(crop)[0].boxes.data for crop in crops]
    right = []

    def work(number):
        for _ in range(4):
            right.append(np.array_equal(model(crops[number])[0].boxes.data, expected[number]))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    show("16 threads", all(right) and len(right) == 64, equal=f"{sum(right)} of 64 to the bit")

    async def together():
        return await asyncio.gather(*(model.predict_async(crop) for crop in crops * 2))

    found = asyncio.run(together())
    equal = [np.array_equal(one[0].boxes.data, rows) for one, rows in zip(found, expected * 2)]
    show("asyncio", all(equal), equal=f"{sum(equal)} of {len(equal)} to the bit")


def addresses(model, image):
    place = image.__array_interface__["data"][0]
    seen, borrowed = _native.image_address(image)
    show("image without a copy", borrowed and seen == place, numpy=hex(place), engine=hex(seen))
    rows = model(image)[0].boxes.data
    for name, array in {
        "boxes": rows,
        "raw output": model.run(np.zeros((1, 3, 64, 64), np.float32))[0],
    }.items():
        place = array.__array_interface__["data"][0]
        owner = array
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        words = (ctypes.c_size_t * (sys.getsizeof(owner) // 8)).from_address(id(owner))
        kept = not isinstance(owner, np.ndarray) and place in list(words)
        show(f"{name} without a copy", kept, numpy=hex(place), owner=type(owner).__name__)


def serve(model, image, path, count):
    paths = [path] * count
    model(image)
    for line in sys.stdin:
        start = time.perf_counter()
        if line.strip() == "paths":
            for result in model(paths, stream=True):
                assert len(result.boxes.data)
        else:
            for _ in range(count):
                assert len(model(image)[0].boxes.data)
        print(time.perf_counter() - start, flush=True)


def main():
    weights, path, what, *rest = sys.argv[1:]
    model = onelook.Model(weights, device="cpu")
    image = np.ascontiguousarray(_native.decode(Path(path).read_bytes())[..., ::-1])
    if what == "serve":
        serve(model, image, path, int(rest[0]))
        return
    addresses(model, image)
    threads(model, image)
    memory(model, image, int(what))


if __name__ == "__main__":
    main()
