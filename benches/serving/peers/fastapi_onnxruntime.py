"""FastAPI + onnxruntime, as a careful user writes it: a plain function, run by FastAPI's own thread pool.

    python fastapi_onnxruntime.py --model yolo11n.onnx --port 9100 [--threads 1]

onnxruntime lets go of the interpreter's lock and a session may run many requests at once. `--threads` is the
number of threads within one inference: all cores (0) suit one client, 1 suits many.
"""

import argparse

import uvicorn
from fastapi import Body, FastAPI, HTTPException

from detector import Detector


def application(detector):
    app = FastAPI()

    @app.get("/ready")
    def ready():
        return {"ready": True}

    @app.post("/detect")
    def detect(image: bytes = Body(media_type="image/jpeg")):
        try:
            return {"detections": detector(image)}
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    app = application(Detector(arguments.model, arguments.threads))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
