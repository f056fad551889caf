"""Ultralytics as a client: `YOLO("http://HOST:PORT/MODEL", task="detect")` on images, its boxes as JSON.

    python client_ultralytics.py --url http://127.0.0.1:8000/yolo11n bus.jpg zidane.jpg

Runs with any interpreter that has ultralytics and tritonclient, as a process of its own. Judges nothing.
"""

import argparse
import json
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="http://HOST:PORT/MODEL or grpc://HOST:PORT/MODEL")
    parser.add_argument("images", nargs="+")
    arguments = parser.parse_args()
    from ultralytics import YOLO

    model = YOLO(arguments.url, task="detect")
    found = {}
    for image in arguments.images:
        result = model(image, imgsz=640, verbose=False)[0]
        found[image] = [
            {
                "name": result.names[int(kind)],
                "class": int(kind),
                "confidence": float(score),
                "box": list(map(float, box)),
            }
            for box, score, kind in zip(
                result.boxes.xyxy.tolist(), result.boxes.conf.tolist(), result.boxes.cls.tolist()
            )
        ]
    print("RESULT " + json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
