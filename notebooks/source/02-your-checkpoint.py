# %% en
# # Your own checkpoint, with a parity report
#
# A checkpoint that you trained is read as it is. Before you rely on it, compare: with the plain reference executor,
# with your export, with a recording, and with the software that trained it.
#
# Put the path of your `.pt` here. Without one, the notebook takes a model that can be fetched.
# %% zh-CN
# # 使用自己的检查点，并生成一致性报告
#
# 你训练的检查点可以直接读取。在依赖它之前先做比较：与逐步计算的参考执行器、与你的导出文件、与已记录的结果，
# 以及与训练它的软件。
#
# 把你的 `.pt` 路径写在这里；没有的话，就使用一个可以下载的模型。
# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from onelook import YOLO

here = Path.cwd()
root = next(folder for folder in [here, *here.parents] if (folder / "assets/sample.jpg").is_file())
image = root / "assets/sample.jpg"
out = root / "runs/notebooks/parity"
out.mkdir(parents=True, exist_ok=True)

checkpoint = "yolo26n.pt"
export = Path("your-export.onnx")

model = YOLO(checkpoint)
model.info()
# %% en
# ## Two engines, one file
#
# `verify` runs the same images twice: with the kernels that were chosen for this CPU, and with an executor that follows
# the textbook loop by loop. It pairs boxes and gives the largest difference in pixels and in confidence.
# %% zh-CN
# ## 同一个文件，两个引擎
#
# `verify` 把同样的图片运行两次：一次使用为本机 CPU 选用的内核，一次使用按教科书逐步循环计算的执行器。
# 它将检测框配对，给出以像素计和以置信度计的最大差别。
# %%
report = model.verify(image)
assert report["equal"], report
report
# %% image
reference = YOLO(checkpoint, device="reference")
figure, axes = plt.subplots(1, 2, figsize=(12, 4))
for axis, title, one in [(axes[0], "CPU engine", model), (axes[1], "reference executor", reference)]:
    axis.imshow(one(image, verbose=False)[0].plot(color="rgb"))
    axis.set_title(title)
    axis.axis("off")
plt.show()
# %% en
# ## The report as a page
#
# The command line compares more routes and writes a page with the images that differ most. It ends with 1 where
# routes differ, so that a script notices.
# %% zh-CN
# ## 报告页面
#
# 命令行可以比较更多路径，并生成一个页面，列出差别最大的图片。两条路径不一致时退出码为 1，便于脚本判断。
# %%
def onelook(*words):
    command = [sys.executable, "-m", "onelook", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


page = out / "report.html"
print(onelook("verify", f"model={checkpoint}", "against=reference", f"source={image}", "--html", page))
print(page, page.stat().st_size, "bytes")
# %% en
# ## Against your export, against a recording
#
# An ONNX export of the same checkpoint is another route. A recording is one too: keep the lines of `predict --json` of
# today, and compare after an update or on another machine.
# %% zh-CN
# ## 与导出文件比较，与记录比较
#
# 同一检查点的 ONNX 导出是另一条路径；记录也是：把今天 `predict --json` 的输出保存下来，升级之后或在另一台机器上再比较。
# %%
recording = out / "recorded.jsonl"
recording.write_text(onelook("predict", f"model={checkpoint}", f"source={image}", "--json", "--no-save", "--quiet"))

routes = [recording, *([export] if export.exists() else [])]
for route in routes:
    print(onelook("verify", f"model={checkpoint}", f"against={route}", f"source={image}"))
# %% en
# ## Against the software that trained it
#
# Where Ultralytics is installed beside, the same call there and here. Boxes are compared in the order of confidence.
# %% zh-CN
# ## 与训练它的软件比较
#
# 如果本机也安装了 Ultralytics，就在两边做同样的调用，按置信度顺序比较检测框。
# %%
if importlib.util.find_spec("ultralytics") is None:
    print("ultralytics is not installed: nothing to compare with")
else:
    import ultralytics

    there = ultralytics.YOLO(checkpoint)(image, verbose=False, device="cpu")[0].boxes
    here_found = model(image, verbose=False)[0].boxes
    assert len(there) == len(here_found)
    pixels = np.abs(there.xyxy.numpy() - here_found.xyxy.numpy()).max()
    scores = np.abs(there.conf.numpy() - here_found.conf.numpy()).max()
    print(f"{len(there)} boxes, at most {pixels:.3f} pixels and {scores:.5f} of confidence apart")
