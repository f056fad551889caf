"""Frigate's own detector plugins, `zmq` and `deepstack`, against `onelook serve`, beside `onelook predict`.

    python3 -m venv VENV && VENV/bin/pip install pyzmq requests pillow numpy pydantic
    VENV/bin/python scripts/serving/frigate.py --frigate frigate.git --onelook target/debug/onelook \\
        --model yolo11n.pt --images shared/data/images

`--frigate` is a clone of github.com/blakeblackshear/frigate (its git directory). Of it `zmq_ipc.py`, `deepstack.py` and
`detection_api.py` run as they are; what they import of Frigate's configuration are small stand-ins. Each image is
scaled to the detector's size; boxes must be those of `predict` on the same pixels: by zmq within a hundredth of a pixel,
by DeepStack, which sends a JPEG and gets whole pixels, within one pixel of what `predict` finds on that JPEG.
"""

import argparse
import enum
import importlib.util
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.request

import numpy
import pydantic
from PIL import Image

SIZE = 320


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def plugins(git, place):
    """The plugins' modules, by name."""
    class ModelTypeEnum(str, enum.Enum):
        yologeneric = "yolo-generic"

    class BaseDetectorConfig(pydantic.BaseModel):
        type: str
        model: object = None

    config = types.ModuleType("frigate.detectors.detector_config")
    config.BaseDetectorConfig, config.ModelTypeEnum = BaseDetectorConfig, ModelTypeEnum
    for name in ["frigate", "frigate.detectors", "frigate.detectors.plugins"]:
        sys.modules[name] = types.ModuleType(name)
    sys.modules["frigate.detectors.detector_config"] = config
    modules = {}
    for name, path in [("frigate.detectors.detection_api", "detection_api.py"),
                       ("frigate.detectors.plugins.zmq_ipc", "plugins/zmq_ipc.py"),
                       ("frigate.detectors.plugins.deepstack", "plugins/deepstack.py")]:
        words = ["git", "--git-dir", git, "show", f"HEAD:frigate/detectors/{path}"]
        file = place / path.replace("/", "_")
        file.write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = modules[name.rsplit(".", 1)[1]] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return modules, ModelTypeEnum.yologeneric


def predicted(args, files, *more):
    """Rows of class, confidence, top, left, bottom, right by image, as `predict` finds them."""
    words = [args.onelook, "predict", "--json", "--no-save", "--model", args.model, *more]
    for file in files:
        words += ["--source", file]
    out = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout
    rows = {}
    for line in out.splitlines():
        record = json.loads(line)
        if "detections" in record:
            rows[pathlib.Path(record["source"]).name] = [
                [it["class"], it["confidence"], *(it["box"][key] / SIZE for key in ("y1", "x1", "y2", "x2"))]
                for it in record["detections"]][:20]
    return rows


def worst(rows, expected, least):
    """Largest difference of a box in pixels and of a confidence, of those of `predict` above `least`; -1 if one is
    missing."""
    rows = [row for row in rows if row[1] > 0]
    difference = [0.0, 0.0]
    for row in (row for row in expected if row[1] > least):
        same = [other for other in rows if other[0] == row[0]]
        if not same:
            return [-1, -1]
        nearest = min(same, key=lambda other: max(abs(numpy.subtract(other[2:], row[2:]))))
        difference[0] = max(difference[0], SIZE * float(max(abs(numpy.subtract(nearest[2:], row[2:])))))
        difference[1] = max(difference[1], abs(float(nearest[1]) - row[1]))
    return difference


def wait_for_http(url):
    deadline = time.monotonic() + 120
    while True:
        try:
            return urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit("the server is not ready")
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frigate", required=True)
    parser.add_argument("--onelook", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", required=True)
    args = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="onelook-frigate-"))
    modules, model_type = plugins(args.frigate, place)
    names = sorted(path for path in pathlib.Path(args.images).iterdir() if path.suffix in (".jpg", ".png"))[:8]
    files, jpegs, tensors = [], [], []
    for path in names:
        image = Image.open(path).convert("RGB").resize((SIZE, SIZE))
        files.append(place / f"{path.stem}.png")
        image.save(files[-1])
        jpegs.append(place / f"{path.stem}.jpg")
        image.save(jpegs[-1])
        tensors.append(numpy.asarray(image)[None])
    expected = predicted(args, files, "--imgsz", SIZE) | predicted(args, jpegs)
    http, tcp, ipc = free_port(), f"tcp://127.0.0.1:{free_port()}", f"ipc://{place}/zmq_detector"
    words = [args.onelook, "serve", "--model", args.model, "--port", http, "--grpc-port", "none", "--zmq", tcp, "--zmq", ipc]
    server = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_http(f"http://127.0.0.1:{http}/readyz")
        run(args, modules, model_type, http, tcp, ipc, files, jpegs, tensors, expected)
    finally:
        server.terminate()
        server.wait()
    print("Frigate's plugins get the boxes of predict")


def run(args, modules, model_type, http, tcp, ipc, files, jpegs, tensors, expected):
    labels = dict(enumerate(COCO))
    model = types.SimpleNamespace(path=args.model, height=SIZE, width=SIZE, model_type=model_type, merged_labelmap=labels)
    for endpoint in (tcp, ipc):
        config = modules["zmq_ipc"].ZmqDetectorConfig(type="zmq", model=model, endpoint=endpoint, request_timeout_ms=20000)
        detector = modules["zmq_ipc"].ZmqIpcDetector(config)
        if not detector._model_ready:
            raise SystemExit(f"{endpoint}: the plugin takes the model for missing")
        show("zmq", endpoint.split(":")[0], detector, files, tensors, expected, (0.01, 1e-4), 0.25)
    # A tensor that fits nothing gets no boxes, and the connection goes on.
    if detector.detect_raw(numpy.zeros((1, 2, 2, 4), numpy.uint8)).any():
        raise SystemExit("boxes for a tensor of four channels")
    show("zmq", "after a wrong tensor", detector, files, tensors, expected, (0.01, 1e-4), 0.25)
    planar = [numpy.ascontiguousarray(tensor.transpose(0, 3, 1, 2)).astype(numpy.float32) / 255 for tensor in tensors]
    show("zmq", "planar floats", detector, files, planar, expected, (0.01, 1e-4), 0.25)
    config = modules["deepstack"].DeepstackDetectorConfig(
        type="deepstack", model=model, api_url=f"http://127.0.0.1:{http}/v1/vision/detection", api_timeout=20)
    deepstack = modules["deepstack"].DeepStack(config)
    for tensor, file in zip(tensors, jpegs):
        rows = deepstack.detect_raw(tensor)
        # The plugin calls trucks cars, and takes what is surer than 0.4.
        difference = worst(rows, [[2 if row[0] == 7 else row[0], *row[1:]] for row in expected[file.name]], 0.4)
        print(f"  deepstack {file.name}: {sum(row[1] > 0 for row in rows)} boxes, at most {difference[0]:.2f} pixels off predict")
        if not 0 <= difference[0] <= 1:
            raise SystemExit("deepstack: the boxes are not those of predict")


def show(kind, how, detector, files, tensors, expected, limits, least):
    differences, boxes, begun = [], 0, time.monotonic()
    for tensor, file in zip(tensors, files):
        rows = detector.detect_raw(tensor)
        if rows.shape != (20, 6):
            raise SystemExit(f"{kind}: shape {rows.shape}")
        boxes += int((rows[:, 1] > 0).sum())
        if (numpy.diff(rows[:, 1]) > 0).any() or int((rows[:, 1] > 0).sum()) != len(expected[file.name]):
            raise SystemExit(f"{kind}: another number of boxes, or not in order, for {file.name}")
        differences.append(worst(rows, expected[file.name], least))
    pixels, confidence = map(max, zip(*differences))
    took = (time.monotonic() - begun) / len(files) * 1e3
    print(f"  {kind} {how}: {len(files)} images, {boxes} boxes, at most {pixels:.4f} pixels and {confidence:.5f} of "
          f"confidence off predict, {took:.0f} ms an image")
    if min(map(min, differences)) < 0 or pixels > limits[0] or confidence > limits[1]:
        raise SystemExit(f"{kind}: the boxes are not those of predict")


COCO = """person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign parking_meter
bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis
snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork
knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed
dining_table toilet tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock vase
scissors teddy_bear hair_drier toothbrush""".split()
COCO = [name.replace("_", " ") for name in COCO]

main()
