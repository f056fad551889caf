"""FastAPI + ultralytics, the server most people write: one model, one lock around it (it is not thread-safe).

    python fastapi_ultralytics.py --model yolo11n.pt --port 9100

The image is decoded outside the lock. Square 640, or with --rect the rectangle, so that it works on as
many pixels as the others.
"""

import argparse
import threading

import cv2
import numpy as np
import uvicorn
from fastapi import Body, FastAPI, HTTPException
from ultralytics import YOLO


def application(model, rect):
    app, lock = FastAPI(), threading.Lock()

    @app.get("/ready")
    def ready():
        return {"ready": True}

    @app.post("/detect")
    def detect(body: bytes = Body(media_type="image/jpeg")):
        image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise HTTPException(422, "the body is not an image")
        with lock:
            result = model.predict(image, imgsz=640, conf=0.25, iou=0.7, rect=rect, verbose=False)[0]
        return {"detections": result.summary()}

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rect", action="store_true")
    arguments = parser.parse_args()
    model = YOLO(arguments.model)
    model.predict(np.zeros((640, 640, 3), np.uint8), imgsz=640, rect=arguments.rect, verbose=False)
    uvicorn.run(application(model, arguments.rect), host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
