"""Two DeepStack clients (deepstack-sdk, deepstack-python) against `/v1/vision/...`.

    python client_deepstack.py --url http://127.0.0.1:8000 --model yolo11n --image bus.jpg --expected boxes.json --json out.json

Runs in the environment `deepstack`. `--expected`: a list of {"name", "confidence", "box": {x1,y1,x2,y2}} at
confidence 0.25 and more, as `onelook predict --json` prints it; DeepStack's own threshold is applied here.
"""

import argparse
import json
import pathlib
import sys
import urllib.parse

from deepstack.core import DeepstackException, DeepstackObject
from deepstack_sdk import Detection, ServerConfig
from report import Report, expect, expect_equal


def agrees(predictions, expected, least):
    """Labels, confidences and whole-pixel boxes as expected, highest confidence first."""
    wanted = sorted((each for each in expected if each["confidence"] >= least), key=lambda each: -each["confidence"])
    scores = [each["confidence"] for each in predictions]
    expect_equal(scores, sorted(scores, reverse=True), "order of confidences")
    expect_equal([each["label"] for each in predictions], [each["name"] for each in wanted], f"labels at {least}")
    for got, want in zip(predictions, wanted):
        expect(abs(got["confidence"] - want["confidence"]) <= 0.002, f"confidence {got} against {want}")
        sides = [got["x_min"], got["y_min"], got["x_max"], got["y_max"]]
        expect(all(isinstance(side, int) for side in sides), f"sides are not whole numbers: {got}")
        for side, exact in zip(sides, (want["box"][key] for key in ("x1", "y1", "x2", "y2"))):
            expect(abs(side - exact) <= 1.0, f"{got} against {want}")
    return f"{len(predictions)} boxes: {[(each['label'], round(each['confidence'], 3)) for each in predictions]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="http://HOST:PORT")
    parser.add_argument("--model", default="yolo11n")
    parser.add_argument("--image", required=True)
    parser.add_argument("--expected", required=True)
    parser.add_argument("--json", help="file to write")
    arguments = parser.parse_args()
    expected = json.loads(pathlib.Path(arguments.expected).read_text())
    image = pathlib.Path(arguments.image).read_bytes()
    report = Report("DeepStack clients")
    address = urllib.parse.urlsplit(arguments.url)

    def sdk(name, least):
        found = Detection(ServerConfig(arguments.url), name).detectObject(image, min_confidence=least)
        return agrees([vars(each) for each in found.detections], expected, least)

    def other(custom, least):
        client = DeepstackObject(address.hostname, address.port, min_confidence=least, custom_model=custom)
        return agrees(client.detect(image), expected, least)

    for least in (0.4, 0.5, 0.86):
        report.check(f"deepstack-sdk, min_confidence {least}", lambda: sdk(None, least))
        report.check(f"deepstack-python, min_confidence {least}", lambda: other("", least))
    report.check("deepstack-sdk, custom model by name", lambda: sdk(arguments.model, 0.4))
    report.check("deepstack-python, custom model by name", lambda: other(arguments.model, 0.4))

    def not_a_image():
        try:
            Detection(ServerConfig(arguments.url)).detectObject(b"this is no image")
        except Exception as error:
            expect_equal(str(error), "Invalid image", "what the client understands")
            return "the client says: Invalid image"
        raise AssertionError("bytes that are no image were accepted")

    def unknown_model():
        try:
            other("nope", 0.4)
        except DeepstackException as error:
            return str(error)
        raise AssertionError("an unknown custom model was accepted")

    report.check("not an image", not_a_image)
    report.check("an unknown custom model", unknown_model)
    return report.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
