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


class VideoCapture(cv2.VideoCapture):
    def read(self, *args):
        done, frame = super().read(*args)
        return done, stamp(frame)

    def retrieve(self, *args):
        done, frame = super().retrieve(*args)
        return done, stamp(frame)


cv2.VideoCapture = VideoCapture


def age_ms(frame):
    when = decoded.get(frame.ctypes.data)
    return "" if when is None else f"{1000 * (time.monotonic() - when):.1f}"
