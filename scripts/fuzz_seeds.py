"""Writes the small synthetic seeds in fuzz/seeds: python3 scripts/fuzz_seeds.py (needs pillow, numpy, onnx, ffmpeg).

Nothing here comes from a real model: a tree of a few modules with the names that checkpoints use,
an ONNX graph of one node per operator, images of a few pixels.
"""

import collections
import gzip
import io
import json
import pathlib
import pickle
import struct
import subprocess
import sys
import types
import zlib

SEEDS = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "seeds"


def save(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def fake_class(module, name):
    """A class that pickles under a module that is not installed."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            sys.modules[path] = types.ModuleType(path)
    made = type(name, (), {"__module__": module, "__qualname__": name})
    setattr(sys.modules[module], name, made)
    return made


def fake_function(module, name):
    def function(*_):
        raise NotImplementedError

    fake_class(module, name)
    function.__module__, function.__name__, function.__qualname__ = module, name, name
    setattr(sys.modules[module], name, function)
    return function


Storage = fake_class("torch", "HalfStorage")
rebuild_tensor = fake_function("torch._utils", "_rebuild_tensor_v2")
rebuild_parameter = fake_function("torch._utils", "_rebuild_parameter")
Model = fake_class("ultralytics.nn.tasks", "DetectionModel")
Conv = fake_class("ultralytics.nn.modules.conv", "Conv")
Detect = fake_class("ultralytics.nn.modules.head", "Detect")
Conv2d = fake_class("torch.nn.modules.conv", "Conv2d")
BatchNorm2d = fake_class("torch.nn.modules.batchnorm", "BatchNorm2d")
SiLU = fake_class("torch.nn.modules.activation", "SiLU")
Sequential = fake_class("torch.nn.modules.container", "Sequential")
ModuleList = fake_class("torch.nn.modules.container", "ModuleList")


class Tensor:
    def __init__(self, shape, key="0"):
        self.shape, self.key = shape, key

    def __reduce__(self):
        strides, step = [], 1
        for side in reversed(self.shape):
            strides.insert(0, step)
            step *= side
        reference = StorageReference(self.key, step)
        return rebuild_tensor, (reference, 0, self.shape, tuple(strides), False, collections.OrderedDict())


class StorageReference:
    def __init__(self, key, numel):
        self.key, self.numel = key, numel


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, StorageReference):
            return "storage", Storage, thing.key, "cpu", thing.numel
        return None


def pickled(thing):
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(thing)
    return buffer.getvalue()


def module(kind, modules=(), parameters=(), buffers=(), **attributes):
    made = kind()
    made.training = False
    made._parameters = collections.OrderedDict((k, v and Parameter(v)) for k, v in dict(parameters).items())
    made._buffers = collections.OrderedDict(buffers)
    made._modules = collections.OrderedDict(modules)
    made.__dict__.update(attributes)
    return made


def conv2d(inputs, outputs, kernel=1, bias=False):
    parameters = {"weight": Tensor((outputs, inputs, kernel, kernel)), "bias": Tensor((outputs,)) if bias else None}
    pad = kernel // 2
    return module(
        Conv2d, parameters=parameters, in_channels=inputs, out_channels=outputs, groups=1,
        kernel_size=(kernel, kernel), stride=(1, 1), padding=(pad, pad), dilation=(1, 1), padding_mode="zeros",
    )


def conv(inputs, outputs, **wiring):
    four = Tensor((outputs,))
    norm = module(
        BatchNorm2d, parameters={"weight": four, "bias": four},
        buffers={"running_mean": four, "running_var": four, "num_batches_tracked": Tensor(())},
        num_features=outputs, eps=1e-3, momentum=0.03,
    )
    return module(Conv, {"conv": conv2d(inputs, outputs), "bn": norm, "act": module(SiLU, inplace=True)}, **wiring)


def checkpoint():
    sides = module(Sequential, {"0": conv(4, 4), "1": conv2d(4, 4, bias=True)})
    classes = module(Sequential, {"0": conv(4, 4), "1": conv2d(4, 2, bias=True)})
    detect = module(
        Detect, {"cv2": module(ModuleList, {"0": sides}), "cv3": module(ModuleList, {"0": classes})},
        nc=2, nl=1, reg_max=1, no=6, stride=Tensor((1,)), i=1, f=[0], type="ultralytics.nn.modules.head.Detect", np=9,
    )
    layers = {"0": conv(3, 4, i=0, f=-1, type="ultralytics.nn.modules.conv.Conv", np=9), "1": detect}
    model = module(
        Model, {"model": module(Sequential, layers)}, save=[0], stride=Tensor((1,)),
        names={0: "person", 1: "bus"}, yaml={"nc": 2, "yaml_file": "tiny.yaml", "scale": "n"}, args={"imgsz": 64}, task="detect",
    )
    return {"epoch": -1, "model": model, "ema": None, "train_args": {"imgsz": 64, "task": "detect"}, "date": "2026-01-01", "version": "8.4.0"}


def onnx_model():
    """Every operator that exports of detection models use, once, on values of a few numbers."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, value, kind=np.float32):
        return numpy_helper.from_array(np.asarray(value, kind), name)

    constants = [
        constant("w", np.ones((4, 3, 3, 3))), constant("b", np.zeros(4)), constant("d", np.ones((4, 1, 3, 3))),
        constant("halves", [2, 2], np.int64), constant("twice", [1, 1, 2, 2]), constant("flat", [1, 4, -1], np.int64),
        constant("from", [0], np.int64), constant("to", [2], np.int64), constant("axis", [1], np.int64), constant("two", 2),
    ]
    square = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], strides=[2, 2], **square),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["a"]),
        helper.make_node("Split", ["a", "halves"], ["x", "y"], axis=1),
        helper.make_node("Concat", ["y", "x"], ["z"], axis=1),
        helper.make_node("Conv", ["z", "d"], ["e"], group=4, **square),
        helper.make_node("Add", ["e", "a"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]),
        helper.make_node(
            "Resize", ["p", "", "twice"], ["u"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        ),
        helper.make_node("Reshape", ["u", "flat"], ["f"]),
        helper.make_node("Transpose", ["f"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["f", "t"], ["m"]),
        helper.make_node("Softmax", ["m"], ["q"], axis=-1),
        helper.make_node("MatMul", ["q", "f"], ["v"]),
        helper.make_node("Slice", ["v", "from", "to", "axis"], ["l"]),
        helper.make_node("Sub", ["l", "two"], ["n"]),
        helper.make_node("Div", ["n", "two"], ["output0"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 2, 64])
    graph = helper.make_graph(nodes, "tiny", [image], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'person', 1: 'bus'}", "stride": "8", "task": "detect", "imgsz": "[8, 8]"})
    return model.SerializeToString()


def onnx_kinds():
    """Small exports of the kinds that need more than operators: symbolic sides, quantised, suppression inside."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, value, kind=np.int64):
        return numpy_helper.from_array(np.asarray(value, kind), name)

    def export(nodes, constants, sides, output):
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, *sides])
        output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, output)
        graph = helper.make_graph([helper.make_node(*parts, **given) for parts, given in nodes], "tiny", [image], [output], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {"names": "['a', 'b']", "stride": "4", "task": "detect", "imgsz": "[8, 8]"})
        return model.SerializeToString()

    weight = constant("w", np.ones((6, 3, 1, 1)), np.float32)
    dynamic = export(
        [
            (("Conv", ["images", "w"], ["map"]), {}),
            (("Shape", ["map"], ["shape"]), {}),
            (("Slice", ["shape", "zero", "two", "zero"], ["start"]), {}),
            (("Slice", ["shape", "two", "four", "zero"], ["sides"]), {}),
            (("Concat", ["start", "rest"], ["extents"]), {"axis": 0}),
            (("ReduceProd", ["sides"], ["count"]), {"keepdims": 0}),
            (("Range", ["none", "count", "one"], ["cells"]), {}),
            (("Cast", ["cells"], ["floats"]), {"to": TensorProto.FLOAT}),
            (("ConstantOfShape", ["sides"], ["zeros"]), {}),
            (("Expand", ["floats", "ones"], ["grid"]), {}),
            (("Reshape", ["map", "extents"], ["flat"]), {}),
            (("Add", ["flat", "grid"], ["output0"]), {}),
        ],
        [weight, constant("zero", [0]), constant("two", [2]), constant("four", [4]), constant("rest", [-1]), constant("none", 0),
         constant("one", 1), constant("ones", [1, 1])],
        ["height", "width"], ["batch", 6, "anchors"],
    )
    quantised = export(
        [
            (("QuantizeLinear", ["images", "s", "z"], ["q"]), {}),
            (("DequantizeLinear", ["q", "s", "z"], ["x"]), {}),
            (("DynamicQuantizeLinear", ["x"], ["y", "ys", "yz"]), {}),
            (("ConvInteger", ["y", "wq", "yz", "z"], ["sums"]), {}),
            (("Cast", ["sums"], ["c"]), {"to": TensorProto.FLOAT}),
            (("Mul", ["ys", "s"], ["scale"]), {}),
            (("Mul", ["c", "scale"], ["a"]), {}),
            (("QuantizeLinear", ["a", "s", "z"], ["aq"]), {}),
            (("QLinearConv", ["aq", "s", "z", "vq", "s", "z", "s", "z", "b"], ["d"]), {}),
            (("DequantizeLinear", ["d", "s", "z"], ["e"]), {}),
            (("Reshape", ["e", "flat"], ["output0"]), {}),
        ],
        [constant("s", 0.5, np.float32), constant("z", 3, np.uint8), constant("wq", np.ones((6, 3, 1, 1)), np.uint8),
         constant("vq", np.ones((6, 6, 1, 1)), np.uint8), constant("b", np.ones(6), np.int32), constant("flat", [1, 6, -1])],
        [8, 8], [1, 6, 64],
    )
    suppressed = export(
        [
            (("Conv", ["images", "w"], ["map"]), {}),
            (("Reshape", ["map", "flat"], ["head"]), {}),
            (("Transpose", ["head"], ["cells"]), {"perm": [0, 2, 1]}),
            (("Split", ["cells", "cut"], ["boxes", "scores"]), {"axis": 2}),
            (("Transpose", ["scores"], ["byclass"]), {"perm": [0, 2, 1]}),
            (("NonMaxSuppression", ["boxes", "byclass", "most", "half", "half"], ["kept"]), {}),
            (("ReduceMax", ["scores"], ["best"]), {"axes": [2], "keepdims": 0}),
            (("TopK", ["best", "five"], ["top", "places"]), {}),
            (("Mod", ["places", "five"], ["classes"]), {}),
            (("NonZero", ["top"], ["found"]), {}),
            (("Unsqueeze", ["places", "last"], ["column"]), {}),
            (("Tile", ["column", "four"], ["index"]), {}),
            (("GatherElements", ["boxes", "index"], ["topboxes"]), {"axis": 1}),
            (("GatherND", ["scores", "kept"], ["unused"]), {}),
            (("Where", ["condition", "classes", "places"], ["chosen"]), {}),
            (("Cast", ["chosen"], ["floats"]), {"to": TensorProto.FLOAT}),
            (("Unsqueeze", ["floats", "last"], ["b"]), {}),
            (("Unsqueeze", ["top", "last"], ["a"]), {}),
            (("Concat", ["topboxes", "a", "b"], ["output0"]), {"axis": 2}),
        ],
        [weight, constant("flat", [1, 6, -1]), constant("cut", [4, 2]), constant("most", [5]), constant("half", [0.5], np.float32),
         constant("five", [5]), constant("last", [-1]), constant("four", [1, 1, 4]), constant("condition", [True], bool)],
        [8, 8], [1, 5, 6],
    )
    return {"dynamic": dynamic, "quantised": quantised, "suppressed": suppressed}


def images():
    from PIL import Image

    image = Image.new("RGB", (9, 7))
    image.putdata([(x * 28, y * 36, x * y * 4) for y in range(7) for x in range(9)])
    variants = [
        ("rgb.jpg", image, {}), ("progressive.jpg", image, {"progressive": True}),
        ("grey.jpg", image.convert("L"), {}), ("cmyk.jpg", image.convert("CMYK"), {}),
        ("rgb.png", image, {}), ("palette.png", image.convert("P"), {}), ("grey16.png", image.convert("I;16"), {}),
        ("rgb.webp", image, {}), ("lossless.webp", image, {"lossless": True}),
        ("rgb.bmp", image, {}), ("palette.bmp", image.convert("P"), {}),
        ("raw.tif", image, {}), ("lzw.tif", image, {"compression": "tiff_lzw"}),
        ("deflate.tif", image, {"compression": "tiff_adobe_deflate"}), ("jpeg.tif", image, {"compression": "jpeg"}),
        ("rgb.gif", image, {}),
    ]
    for name, image, options in variants:
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name.split(".")[1], name.split(".")[1].upper())
        image.save(buffer, kind, **options)
        save("image", name, buffer.getvalue())


def videos():
    """Streams of raw video as ffmpeg writes them to a pipe: two layouts of pixels, even and uneven times."""
    kinds = {
        "rgb.nut": ("rgb24", "setpts=N/TB/25"), "nv12.nut": ("nv12", "setpts=N/TB/25"),
        "uneven.nut": ("rgb24", "setpts=(N*0.04+gte(N\\,2)*3600)/TB"),
    }
    for name, (layout, times) in kinds.items():
        command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=6x4:r=25:d=0.16", "-vf", times]
        command += ["-pix_fmt", layout, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-c:v", "rawvideo"]
        data = subprocess.run(command + ["-fflags", "+bitexact", "-f", "nut", "-"], stdout=subprocess.PIPE, check=True)
        save("nut", name, data.stdout)


def archives(description):
    import zipfile

    for name, method in (("stored.seed", zipfile.ZIP_STORED), ("deflated.seed", zipfile.ZIP_DEFLATED)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for member, data in (("m/data.pkl", description), ("m/byteorder", b"little"), ("m/data/0", b"\x00\x3c" * 128), ("m/version", b"3\n")):
                archive.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), data, method)
        save("pt", name, buffer.getvalue())


def requests():
    """Inference requests with everything that the protocol's JSON may hold, behind the JSON's length."""
    sizes = {"name": "images", "datatype": "FP32", "shape": [1, 3, 1, 2]}
    asked = {"priority": 1, "timeout": 1000, "sequence_id": 0, "binary_data_output": True}
    outputs = [{"name": "output0", "parameters": {"binary_data": True, "classification": 0}}]
    seeds = {
        "binary.seed": ({"id": "a", "inputs": [{**sizes, "parameters": {"binary_data_size": 24}}], "parameters": asked, "outputs": outputs}, bytes(24)),
        "lists.seed": ({"inputs": [{**sizes, "data": [[[1, 2.5], [-3, 4e-3]], [5, 6]]}]}, b""),
        "elsewhere.seed": ({"inputs": [{**sizes, "parameters": {"shared_memory_region": "r"}}], "parameters": {"sequence_id": "s"}}, b""),
    }
    for name, (head, tensors) in seeds.items():
        head = json.dumps(head).encode()
        save("inference", name, struct.pack("<H", len(head)) + head + tensors)


def field(number, payload):
    """A short length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def intakes():
    head = b'Content-Disposition: form-data; name="%s"\r\n\r\n'
    part = b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    json_body = b'{"image":{"base64":"AAAA","name":"a"},"images":[{"url":"http://a/b.jpg"},"AA=="],"conf":0.5,"classes":[0,"person"],"imgsz":[480,640]}'
    form = b"--X\r\n" + head % b"conf" + b"0.5\r\n--X\r\n" + part + b"\x89PNG\r\n--X--\r\n"
    save("detect_body", "json", b"\x01" + json_body)
    save("detect_body", "form", b"\x02" + form)
    save("detect_body", "gzip", b"\x05" + gzip.compress(json_body, mtime=0))
    save("detect_body", "deflate", b"\x0a" + zlib.compress(form))
    # A frame of zstd with a window of 1 MiB: a raw block, then one of repeated bytes.
    block = lambda kind, size: (size << 3 | kind).to_bytes(3, "little")
    raw = json_body[:40] + b" "
    frame = b"\x28\xb5\x2f\xfd\x00\x50" + block(0, len(raw)) + raw + block(3, 9) + b" "
    save("detect_body", "zstd", b"\x0d" + frame)
    save("detect_body", "untyped", b"\x00--b\r\n" + head % b"image" + b"x\r\n--b--")
    tensor = field(1, b"images") + field(2, b"FP32") + field(3, bytes([1, 3, 2, 2]))
    contents = tensor + field(4, field(1, b"a") + field(2, b"\x08\x01")) + field(5, field(6, bytes(48)))
    parameters = field(4, field(1, b"priority") + field(2, b"\x10\x01"))
    names = field(1, b"m") + field(2, b"1") + field(3, b"id")
    save("grpc_request", "contents", names + parameters + field(5, contents) + field(6, field(1, b"output0")))
    save("grpc_request", "raw", field(1, b"m") + field(5, tensor) + field(7, bytes(48)))


def zmtp_frame(flags, body):
    return bytes([flags, len(body)]) + body


def sockets():
    """What Frigate sends behind its handshake, the whole of it, and a length that is a lie."""
    head = b'{"shape": [1, 1, 1, 3], "dtype": "uint8"}'
    request = zmtp_frame(1, b"") + zmtp_frame(1, head) + zmtp_frame(0, b"abc")
    asked = zmtp_frame(1, b"") + zmtp_frame(0, b'{"model_request": true}')
    save("zmtp", "request", b"\x01" + request + zmtp_frame(4, b"\x04PING\0\0") + asked)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\0NULL" + bytes(48)
    ready = zmtp_frame(4, b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER")
    long = b"\x02" + (5).to_bytes(8, "big") + b"{}abc"
    save("zmtp", "whole", b"\0" + greeting + ready + zmtp_frame(1, b"") + long)
    lie = b"\x02" + (1 << 40).to_bytes(8, "big") + b"abc"
    save("zmtp", "large", b"\x01" + zmtp_frame(1, b"") + zmtp_frame(1, b"{}") + lie)


def containers():
    save("video_container", "mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41")
    save("video_container", "matroska", b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1f")
    save("video_container", "avi", b"RIFF\0\0\0\0AVI LIST")
    packets = bytearray(400)
    packets[0] = packets[188] = ord("G")
    save("video_container", "transport", bytes(packets))
    save("video_container", "playlist", b"#EXTM3U\nfile:///etc/passwd\n")


def recorded_detections():
    """Two boxes that cross, one of which is seen faintly on every third frame; no box on the sixth."""
    lines = []
    for frame in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12):
        confidence = 0.2 if frame % 3 == 0 else 0.8
        lines.append(f"{frame},-1,{10 + 5 * frame},20,30,60,0.9,-1,-1,-1\n")
        lines.append(f"{frame},-1,{100 - 5 * frame},25,30,60,{confidence},-1,-1,-1\n")
    return "".join(lines).encode()


def main():
    description = pickled(checkpoint())
    save("mot", "crossing.txt", recorded_detections())
    save("mot", "odd.txt", b"1,-1,0,0,0,0,1\n1,-1,1e30,1e30,1e30,1e30,1\n\n2,-1,5,5,-3,4,nan\n")
    save("pickle", "checkpoint.pkl", description)
    save("pickle", "state_dict.pkl", pickled({"model": {"w": Tensor((4, 3, 1, 1))}}))
    save("pickle", "forbidden.pkl", b"cos\nsystem\n(S'true'\ntR.")
    archives(description)
    for target in ("onnx", "engine"):
        save(target, "tiny.seed", onnx_model())
    for name, data in onnx_kinds().items():
        save("onnx", f"{name}.seed", data)
    tensors = {"w": {"dtype": "F16", "shape": [4, 3, 1, 1], "data_offsets": [0, 24]}}
    save("safetensors", "tiny.seed", json.dumps({"__metadata__": {"format": "onelook"}, **tensors}).encode())
    images()
    videos()
    requests()
    intakes()
    sockets()
    containers()


main()
