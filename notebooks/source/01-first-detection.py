# %% en
# # First detection
#
# Objects on one image, from a model file to boxes, labels and files. Needs the package `onelook` and nothing else:
# `cargo xtask wheel` builds it from this repository, `pip install target/wheels/onelook-*.whl jupyterlab` installs it.
# The model is fetched when it is first named, and kept.
# %% zh-CN
# # 第一次检测
#
# 从模型文件到检测框、标签和输出文件，全部在一张图片上完成。只需要 `onelook` 包：用 `cargo xtask wheel` 从本仓库构建，
# 再用 `pip install target/wheels/onelook-*.whl jupyterlab` 安装。模型在第一次使用时下载，之后保留在本机缓存中。
# %%
from pathlib import Path

from onelook import YOLO

here = Path.cwd()
root = next(folder for folder in [here, *here.parents] if (folder / "assets/sample.jpg").is_file())
image = root / "assets/sample.jpg"

model = YOLO("yolo26n.pt")
model.info()
# %% en
# A call takes a path, a folder, an address, an array, or several of them, and gives a list with one result per image.
# At the end of a cell a result shows itself: the annotated image and a table.
# %% zh-CN
# 调用时可以给出路径、目录、网址、数组，或它们的列表；返回一个列表，每张图片一个结果。
# 结果放在单元格末尾就会显示：标注后的图片和一张表。
# %% image
result = model(image)[0]
result
# %% en
# Boxes are NumPy arrays: corners in pixels, confidences, and class numbers that `model.names` spells out.
# %% zh-CN
# 检测框是 NumPy 数组：以像素为单位的角点、置信度和类别编号，`model.names` 给出类别名称。
# %%
for box in result.boxes:
    name = model.names[int(box.cls)]
    print(f"{name:14} {float(box.conf):.2f}  {box.xyxy[0].round(1).tolist()}")

assert {"person", "cat"} <= {found["name"] for found in result.summary()}
# %% en
# Thresholds and classes are options of the call, with the names and defaults that the reference gave them.
# %% zh-CN
# 阈值和类别是调用的参数，名称和默认值与参考实现相同。
# %% image
model(image, conf=0.5, classes=["cat"])[0]
# %% en
# Arrays work as well. They are read where they lie, blue before red, as OpenCV has them.
# %% zh-CN
# 也可以直接使用数组：不复制内存，通道顺序与 OpenCV 一样，蓝色在前。
# %% image
x1, y1, x2, y2 = (int(edge) for edge in model(image, classes=["cat"])[0].boxes.xyxy[0])
cat = result.orig_img[y1:y2, x1:x2]
model(cat)[0]
# %% en
# Files: the annotated image, labels in YOLO's format, JSON.
# %% zh-CN
# 输出文件：标注图片、YOLO 格式的标签、JSON。
# %%
out = root / "runs/notebooks"
labels = out / "sample.txt"
labels.unlink(missing_ok=True)
print(result.save(out / "sample.jpg"))
print(Path(result.save_txt(labels, save_conf=True)).read_text())
print(result.to_json()[:200])
# %% en
# The same on the command line, which comes with the package: `onelook predict model=yolo26n source=assets/sample.jpg`.
# %% zh-CN
# 命令行程序随包一起安装，同样的检测：`onelook predict model=yolo26n source=assets/sample.jpg`。
