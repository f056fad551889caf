"""onnxruntime and supervision's ByteTrack, as their users write it: a line per frame on standard output: how many tracks, and
the age of the frame in ms.

    python supervision_track.py MODEL.onnx SOURCE TRACKER

SOURCE may be a `.streams` list: the clips take turns. TRACKER is not used: there is one.
"""

import pathlib
import sys

import cv2
import frame_age
import numpy as np
import onnxruntime
import supervision as sv


def letterbox(image, height, width):
    ratio = min(height / image.shape[0], width / image.shape[1])
    size = round(image.shape[1] * ratio), round(image.shape[0] * ratio)
    left, top = round((width - size[0]) / 2 - 0.1), round((height - size[1]) / 2 - 0.1)
    framed = np.full((height, width, 3), 114, np.uint8)
    framed[top : top + size[1], left : left + size[0]] = cv2.resize(image, size)
    tensor = framed[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    return np.ascontiguousarray(tensor), ratio, left, top


def detect(session, image):
    name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape
    tensor, ratio, left, top = letterbox(image, *shape[2:])
    output = session.run(None, {name: tensor})[0][0].T
    scores = output[:, 4:].max(1)
    output, scores = output[scores > 0.1], scores[scores > 0.1]
    classes, boxes = output[:, 4:].argmax(1), output[:, :4]
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    corners = (corners - [left, top, left, top]) / ratio
    found = sv.Detections(xyxy=corners, confidence=scores, class_id=classes)
    return found.with_nms(0.7)


def frames(clip):
    video = cv2.VideoCapture(clip)
    while True:
        read, frame = video.read()
        if not read:
            return
        yield frame


def main():
    model, source, _ = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    clips = pathlib.Path(source).read_text().split() if source.endswith(".streams") else [source]
    streams = [(frames(clip), sv.ByteTrack()) for clip in clips]
    while streams:
        for stream in list(streams):
            images, tracker = stream
            image = next(images, None)
            if image is None:
                streams.remove(stream)
                continue
            tracked = tracker.update_with_detections(detect(session, image))
            print(len(tracked), frame_age.age_ms(image), flush=True)


if __name__ == "__main__":
    main()
