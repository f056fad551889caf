"""`yolo track` of ultralytics: a line per frame on standard output, as soon as its result is there: how many
tracks, and the age of the frame in ms.

    python ultralytics_track.py MODEL SOURCE TRACKER
"""

import sys

import frame_age  # first: it must see frames before ultralytics does
from ultralytics import YOLO


def main():
    model, source, tracker = sys.argv[1:]
    if source.endswith(".streams"):
        # Files in a list of streams lose most of their frames without the buffer.
        options = {"stream_buffer": True}
    else:
        options = {}
    results = YOLO(model).track(source, tracker=tracker, stream=True, verbose=False, conf=0.1, device="cpu", **options)
    for result in results:
        ids = result.boxes.id
        print(0 if ids is None else len(ids), frame_age.age_ms(result.orig_img), flush=True)


if __name__ == "__main__":
    main()
