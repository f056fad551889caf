# %% en
# # From the PyTorch-CUDA image to onelook
#
# Many articles begin with an image of PyTorch and CUDA of several gigabytes, a notebook on port 8888, and a script that
# predicts with Ultralytics. Here is that script cell by cell. Above each cell stands the line that changes; where there is
# none, nothing does.
# %% zh-CN
# # 从 PyTorch-CUDA 镜像到 onelook
#
# 许多文章从一个数 GB 的 PyTorch + CUDA 镜像开始，在 8888 端口打开 notebook，再用 Ultralytics 的脚本做预测。
# 下面逐个单元格给出这样的脚本。需要改动的行写在单元格上方；没有写的就不用改。
# %% en
# ## Import and model
#
# ```diff
# -import torch
# -from ultralytics import YOLO
# +from onelook import YOLO
# ```
#
# A `.pt` is read as it is, without PyTorch, and nothing in it is executed. (yolo26n in place of yolo11n, because it can
# be fetched from a package mirror too.)
# %% zh-CN
# ## 导入和模型
#
# ```diff
# -import torch
# -from ultralytics import YOLO
# +from onelook import YOLO
# ```
#
# `.pt` 直接读取，不需要 PyTorch，也不会执行其中的任何代码。（这里用 yolo26n 代替 yolo11n，因为它也能从软件包镜像下载。）
# %%
from pathlib import Path

from onelook import YOLO

model = YOLO("yolo26n.pt")
print(len(model.names), "classes:", ", ".join(list(model.names.values())[:5]), "…")
# %% en
# ## Device and half precision
#
# ```diff
# -print(torch.cuda.is_available())
# -model.to("cuda")
# -results = model(image, device=0, half=True)
# +model = YOLO("yolo26n.pt", device="0", quantize=16)
# +results = model(image)
# ```
#
# The device and the number format belong to the model, not to each call: its kernels are chosen when it is loaded. Only the
# NVIDIA driver is needed. `device="auto"` stays on the CPU until the GPU engine has been measured; a device that is named
# and cannot be had is an error that says why.
# %% zh-CN
# ## 设备和半精度
#
# ```diff
# -print(torch.cuda.is_available())
# -model.to("cuda")
# -results = model(image, device=0, half=True)
# +model = YOLO("yolo26n.pt", device="0", quantize=16)
# +results = model(image)
# ```
#
# 设备和数值格式属于模型，而不是每次调用：内核在加载时选定。只需要 NVIDIA 驱动。在 GPU 引擎完成测量之前，`device="auto"`
# 仍使用 CPU；指定了设备却无法使用时会报错并说明原因。
# %%
import onelook

for name, usable, remark in onelook.devices():
    print(f"{name:12} {'usable' if usable else 'not usable':11} {remark}")
print("this model runs on", model.device)
# %% en
# ## Predict
# %% zh-CN
# ## 预测
# %%
here = Path.cwd()
root = next(folder for folder in [here, *here.parents] if (folder / "assets/sample.jpg").is_file())
image = str(root / "assets/sample.jpg")

results = model(image, conf=0.25, iou=0.45, imgsz=640)
for r in results:
    print(r.path, r.orig_shape, r.verbose(), r.speed)
# %% en
# ## Boxes
#
# ```diff
#  boxes = results[0].boxes.xyxy.cpu().numpy()
# ```
#
# Nothing changes: values are NumPy arrays, and the methods of tensors that scripts call are there.
# %% zh-CN
# ## 检测框
#
# ```diff
#  boxes = results[0].boxes.xyxy.cpu().numpy()
# ```
#
# 不用改：结果已经是 NumPy 数组，脚本常用的张量方法也都可以调用。
# %%
boxes = results[0].boxes.xyxy.cpu().numpy()
for box in results[0].boxes:
    x1, y1, x2, y2 = map(int, box.xyxy[0].tolist())
    print(f"{model.names[int(box.cls)]}: {box.conf.item():.2f} at ({x1}, {y1}) to ({x2}, {y2})")

assert boxes.shape == (len(results[0]), 4) and len(boxes)
# %% en
# ## Plot
#
# ```diff
# -plt.imshow(cv2.cvtColor(results[0].plot(), cv2.COLOR_BGR2RGB))
# +plt.imshow(results[0].plot(color="rgb"))
# ```
#
# `plot()` gives blue before red, as there, and the old line works where OpenCV is installed; `color="rgb"` spares it.
# %% zh-CN
# ## 画图
#
# ```diff
# -plt.imshow(cv2.cvtColor(results[0].plot(), cv2.COLOR_BGR2RGB))
# +plt.imshow(results[0].plot(color="rgb"))
# ```
#
# `plot()` 与原来一样蓝色在前；装有 OpenCV 时原来的写法也能用，`color="rgb"` 则不需要 OpenCV。
# %% image
import matplotlib.pyplot as plt

plt.figure(figsize=(9, 5))
plt.imshow(results[0].plot(color="rgb"))
plt.axis("off")
plt.show()
# %% en
# ## A batch
#
# The boxes of an image do not depend on the batch that it is in.
# %% zh-CN
# ## 批量
#
# 一张图片的检测框与它所在的批次无关。
# %%
import numpy as np

pixels = results[0].orig_img
flipped = np.ascontiguousarray(pixels[:, ::-1])
batch = model([pixels, flipped, pixels], batch=3, iou=0.45, verbose=False)
print([r.verbose() for r in batch])
assert np.array_equal(batch[0].boxes.data, batch[2].boxes.data)
assert np.array_equal(batch[0].boxes.data, results[0].boxes.data)
# %% en
# ## A video
#
# ```diff
# -cap = cv2.VideoCapture("clip.mp4")
# -while cap.isOpened(): …
# +for r in model("clip.mp4", stream=True): …
# ```
#
# A loop over `cv2.VideoCapture` works as it is, with each frame as an array. Shorter is the path of the video, which
# needs `ffmpeg` beside. Videos with boxes drawn in are written by the command line:
# `onelook predict model=yolo26n source=clip.mp4`.
# %% zh-CN
# ## 视频
#
# ```diff
# -cap = cv2.VideoCapture("clip.mp4")
# -while cap.isOpened(): …
# +for r in model("clip.mp4", stream=True): …
# ```
#
# 用 `cv2.VideoCapture` 的循环可以照旧，每一帧作为数组传入。更简单的写法是直接给出视频路径，需要安装 `ffmpeg`。
# 带框的视频由命令行写出：`onelook predict model=yolo26n source=clip.mp4`。
# %%
import subprocess

out = root / "runs/notebooks"
out.mkdir(parents=True, exist_ok=True)
clip = out / "clip.mp4"
quiet = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y"]
subprocess.run([*quiet, "-loop", "1", "-framerate", "5", "-t", "2", "-i", image, "-pix_fmt", "yuv420p", clip], check=True)

frames = 0
for r in model(clip, stream=True, verbose=False):
    frames += 1
print(frames, "frames, the last at", r.time, "s:", r.verbose())
assert frames == 10
# %% en
# ## Labels and validation
#
# ```diff
# -metrics = model.val()
# +metrics = model.val(data="dataset.yaml")
# ```
#
# `save_txt`, `save_crop`, `summary`, `to_json`, `to_df` are what they were. `val` names its data set. What else differs is
# on one page: [docs/en/migrating.md](../../docs/en/migrating.md).
# %% zh-CN
# ## 标签与验证
#
# ```diff
# -metrics = model.val()
# +metrics = model.val(data="dataset.yaml")
# ```
#
# `save_txt`、`save_crop`、`summary`、`to_json`、`to_df` 与原来相同；`val` 需要写明数据集。其余差别都在一页上：
# [docs/zh-CN/migrating.md](../../docs/zh-CN/migrating.md)。
# %%
print(results[0].to_json()[:300])
