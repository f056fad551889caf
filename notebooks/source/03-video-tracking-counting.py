# %% en
# # A video: tracking and counting
#
# Needs `ffmpeg` 5.1 or newer beside (`apt-get install ffmpeg`) and matplotlib. The video is made here: the camera pans
# over the sample image, there and back. Put the path of your own in its place.
# %% zh-CN
# # 视频：跟踪与计数
#
# 需要安装 `ffmpeg` 5.1 或更新版本（`apt-get install ffmpeg`）以及 matplotlib。视频在这里生成：镜头在示例图片上来回平移。
# 也可以换成你自己的视频路径。
# %%
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Image

from onelook import YOLO

here = Path.cwd()
root = next(folder for folder in [here, *here.parents] if (folder / "assets/sample.jpg").is_file())
out = root / "runs/notebooks/video"
out.mkdir(parents=True, exist_ok=True)


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, words)], check=True)


video = out / "pan.mp4"
pan = "crop=500:600:(in_w-out_w)*(1-cos(2*PI*t/8))/2:0"
ffmpeg("-loop", 1, "-framerate", 10, "-t", 8, "-i", root / "assets/sample.jpg", "-vf", pan, "-pix_fmt", "yuv420p", video)
# %% en
# ## Tracks
#
# `track` gives each object an id that stays the same from frame to frame. With `stream=True` one frame is in memory at a
# time, however long the video is.
# %% zh-CN
# ## 轨迹
#
# `track` 为每个目标分配编号，逐帧保持不变。使用 `stream=True` 时，无论视频多长，内存中始终只有一帧。
# %%
model = YOLO("yolo26n.pt")
paths, names = {}, {}
for result in model.track(video, stream=True, conf=0.25, verbose=False):
    if result.frame == 1:
        first = result
    for box in result.boxes:
        if box.id is None:
            continue
        track, (x, y, _, _) = int(box.id), box.xywh[0].tolist()
        paths.setdefault(track, []).append((result.time, x, y))
        names[track] = model.names[int(box.cls)]

for track, path in paths.items():
    print(f"{names[track]:14} id {track}: {len(path)} frames, from {path[0][0]:.1f} s to {path[-1][0]:.1f} s")

assert any(len(path) > 20 for path in paths.values())
# %% image
figure, axis = plt.subplots(figsize=(7, 5))
for track, path in paths.items():
    axis.plot([time for time, _, _ in path], [x for _, x, _ in path], label=f"{names[track]} {track}")
axis.set(xlabel="seconds", ylabel="centre, pixels from the left", title="where tracks are over time")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
# %% image
first
# %% en
# ## Counts
#
# `onelook count` follows objects, counts crossings of lines and stays in zones, and draws both with their counts into
# the saved video. Each crossing is an event, a line of JSON.
# %% zh-CN
# ## 计数
#
# `onelook count` 跟踪目标，统计越线次数和区域停留情况，并把线、区域及其计数画进保存的视频。每次越线是一个事件，即一行 JSON。
# %%
events = out / "events.jsonl"
command = [sys.executable, "-m", "onelook", "count", "model=yolo26n.pt", f"source={video}", "conf=0.25"]
command += ["--line", "gate=350,600,350,0", "--zone", "left=0,0,350,0,350,600,0,600"]
command += ["--events", str(events), f"project={out}", "name=count", "exist_ok"]
print(subprocess.run(command, check=True, capture_output=True, text=True).stdout[-600:])

happened = [json.loads(line) for line in events.read_text().splitlines()]
crossings = [event for event in happened if event["event"] == "crossed"]
assert crossings
for event in crossings:
    print(f"{event['time']:.1f} s: {model.names[event['class']]} {event['track_id']} went {event['direction']}")
# %% image
frame = out / "counted.jpg"
ffmpeg("-ss", 4, "-i", out / "count" / "pan.mp4", "-frames:v", 1, frame)
Image(filename=frame)
# %% image
figure, axis = plt.subplots(figsize=(7, 3))
for direction, style in [("in", "-"), ("out", "--")]:
    times = [event["time"] for event in crossings if event["direction"] == direction]
    axis.step([0, *times, 8], [0, *range(1, len(times) + 1), len(times)], where="post", linestyle=style, label=direction)
axis.set(xlabel="seconds", ylabel="crossings of the gate", title="counts over time")
axis.legend()
plt.show()
# %% en
# The same runs on a camera: `onelook count model=yolo26n source=rtsp://… --line …`, or in the server, where lines are
# drawn with the mouse (`onelook serve`, the page Streams).
# %% zh-CN
# 同样的命令也可用于摄像头：`onelook count model=yolo26n source=rtsp://… --line …`；在服务器中还可以用鼠标画线
# （`onelook serve`，“视频流”页面）。
