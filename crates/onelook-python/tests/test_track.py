"""Videos and tracking."""

import shutil

import numpy as np
import pytest
from conftest import data

import onelook

pytestmark = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="SKIPPED: videos need ffmpeg: apt-get install ffmpeg"
)
FRAMES = 40


@pytest.fixture(scope="module")
def clip():
    return data("tracking/PETS09-S2L1/pets09-s2l1-300.mp4")



def test_a_video_is_tracked_frame_by_frame(model, clip):
    seen = []
    results = model.track(clip, stream=True, tracker="bytetrack")
    for result in results:
        assert result.frame == len(seen) + 1
        seen.append(result)
        if len(seen) == FRAMES:
            results.close()
            break
    times = [result.time for result in seen]
    assert times == sorted(times) and times[0] == 0
    ids = [set(map(int, result.boxes.id)) for result in seen[5:] if result.is_track]
    assert len(ids) > FRAMES // 2 and set.intersection(*ids)


def test_frames_one_by_one_are_tracked_as_the_video_is(model, clip):
    frames = []
    for result in model.predict(clip, stream=True):
        frames.append(np.array(result.orig_img))
        if len(frames) == FRAMES:
            break
    ids = []
    for frame in frames:
        boxes = model.track(frame, persist=True, tracker="bytetrack")[0].boxes
        ids.append([] if boxes.id is None else boxes.id.int().tolist())
    results = model.track(clip, stream=True, tracker="bytetrack")
    again = [next(results).boxes.id for _ in range(FRAMES)]
    results.close()
    assert ids == [[] if found is None else found.int().tolist() for found in again]


def test_a_stride_takes_every_so_manieth_frame(model, clip):
    results = model.predict(clip, stream=True, vid_stride=30, imgsz=64)
    times = [next(results).time for _ in range(3)]
    results.close()
    assert np.diff(times).min() > 1


def test_trackers_and_their_settings_that_cannot_be(model, clip):
    for options in ({"tracker": "nobody"}, {"frame_rate": 0}):
        with pytest.raises(onelook.OnelookError, match=next(iter(options))):
            model.track(clip, **options)
