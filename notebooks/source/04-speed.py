# %% en
# # Speed on your machine
#
# Figures of other machines say little about yours: measure. Times are of whole predictions of one image, letterbox and
# NMS included; close other programs for steady ones.
# %% zh-CN
# # 在你的机器上测速
#
# 别人机器上的数字对你意义不大，请自己测量。耗时是一张图片的完整预测，包括信箱缩放和 NMS；关闭其他程序可以得到更稳定的结果。
# %%
import os
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt

import onelook
from onelook import YOLO

here = Path.cwd()
root = next(folder for folder in [here, *here.parents] if (folder / "assets/sample.jpg").is_file())
image = root / "assets/sample.jpg"
runs = 10
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

for name, usable, remark in onelook.devices():
    print(f"{name:12} {'usable' if usable else 'not usable':11} {remark}")
# %% en
# ## By size of the input
# %% zh-CN
# ## 按输入尺寸
# %% image
model = YOLO("yolo26n.pt")
sizes = [320, 480, 640]
by_size = [model.bench(size, runs=runs, warmup=2) for size in sizes]
for size, times in zip(sizes, by_size):
    print(f"{size}: median {times['median_ms']:.1f} ms, {times['images_per_second']:.1f} images per second")

figure, axis = plt.subplots(figsize=(6, 3))
axis.bar([str(size) for size in sizes], [times["median_ms"] for times in by_size])
axis.set(xlabel="imgsz", ylabel="milliseconds, median", title=f"{model.device}, {cores} cores")
plt.show()
# %% en
# ## By number of threads
#
# One thread per core is the default. A program that runs several models, or a server with many clients, may do more in
# all with fewer threads each.
# %% zh-CN
# ## 按线程数
#
# 默认每个核心一个线程。同时运行多个模型的程序，或有许多客户端的服务器，每个模型少用一些线程，总吞吐量可能更高。
# %% image
counts = sorted({1, max(1, cores // 2), cores})
by_threads = [YOLO("yolo26n.pt", threads=count, verbose=False).bench(640, runs=runs, warmup=2) for count in counts]

figure, axis = plt.subplots(figsize=(6, 3))
axis.bar([str(count) for count in counts], [times["images_per_second"] for times in by_threads])
axis.set(xlabel="threads", ylabel="images per second", title="yolo26n at 640")
plt.show()
# %% en
# ## With decoding of the file
#
# A call on a path also decodes the JPEG. `speed` says what each stage took.
# %% zh-CN
# ## 包括解码文件
#
# 以路径调用时还要解码 JPEG。`speed` 给出每个阶段的耗时。
# %%
model(image, verbose=False)
start = time.perf_counter()
results = model([image] * runs, verbose=False)
whole = (time.perf_counter() - start) / runs * 1000
print(f"{whole:.1f} ms per image in all;", {stage: round(value, 2) for stage, value in results[-1].speed.items()})
# %% en
# ## Where the time goes
#
# `onelook bench` measures each node of the network and names the kernel that ran; `onelook explain` says why it was
# chosen.
# %% zh-CN
# ## 时间花在哪里
#
# `onelook bench` 测量网络的每个节点，并给出所用的内核；`onelook explain` 说明为什么选用它。
# %%
command = [sys.executable, "-m", "onelook", "bench", "model=yolo26n.pt", "runs=5"]
print("\n".join(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[:16]))
