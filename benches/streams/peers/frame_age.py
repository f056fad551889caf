"""When frames left the decoder, for contestants that read them by opencv.

Import it before whatever imports opencv's `VideoCapture` by name. `age_ms(frame)` is the time since that frame was decoded.
"""

import time
from collections import OrderedDict

import cv2

MOST = 20_000
decoded = OrderedDict()


def stamp(frame):
    if frame is not None:
        # By place in memory: libraries hand on the array, not a copy. The newest frame there counts.
        decoded[frame.ctypes.data] = time.monotonic()
        decoded.move_to_end(frame.ctypes.data)
        while len(decoded) > MOST:
            decoded.popitem(last=False)
    return frame


class VideoCapture:
    """Holds opencv's class instead of inheriting from it, which ends in a crash."""

    opencv = cv2.VideoCapture

    def __init__(self, *args):
        self.video = self.opencv(*args)

    def read(self, *args):
        done, frame = self.video.read(*args)
        return done, stamp(frame)

    def retrieve(self, *args):
        done, frame = self.video.retrieve(*args)
        return done, stamp(frame)

    def __getattr__(self, name):
        return getattr(self.video, name)


cv2.VideoCapture = VideoCapture


def age_ms(frame):
    when = decoded.get(frame.ctypes.data)
    return "" if when is None else f"{1000 * (time.monotonic() - when):.1f}"
