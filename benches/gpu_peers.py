"""What PyTorch makes of a network on the GPU at hand, beside what `onelook gpu-check` measured there.

    onelook gpu-check --device 0 model=yolo11n.pt --report check.json
    python3 benches/gpu_peers.py yolo11n.onnx --check check.json --report peers.json

Needs torch, onnx and numpy; torchvision for boxes; onnxruntime, where it is, checks the network that is built from the
file. Images are `uint8` on the device already, as large as the network's input; weights and maps are f16,
channels last. Three ways: eager, the same in a CUDA graph, `torch.compile(mode="max-autotune")`. Times are those
of the device by events: medians, images drawn anew for each way. "network" ends at the export's output, "boxes"
behind torchvision's NMS, which no graph can hold. `--device cpu` tries the script out, and times mean nothing there.

`--strip FILE` writes the file without its weights (some 300 kB, for machines that nothing can be sent to); a file
without weights gets random ones: times are the same, boxes mean nothing.
"""

import argparse
import json
import math
import statistics
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from google.protobuf.message import DecodeError
from onnx import numpy_helper

CONFIDENCE, IOU, MOST = 0.25, 0.7, 300


def attributes(node):
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def is_stripped(tensor):
    return math.prod(tensor.dims) > 0 and not (tensor.raw_data or tensor.float_data or tensor.int64_data)


def weights(tensor, generator):
    """An initializer's values; random ones where they were stripped."""
    if not is_stripped(tensor):
        return torch.from_numpy(numpy_helper.to_array(tensor).copy())
    fan_in = math.prod(tensor.dims[1:]) or 1
    return torch.randn(tuple(tensor.dims), generator=generator) * math.sqrt(2 / fan_in)


class Network(torch.nn.Module):
    """An ONNX export as torch functions, for any number of images."""

    def __init__(self, graph):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self.places, self.constants = {}, {}
        learned = {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}
        for number, tensor in enumerate(graph.initializer):
            value = weights(tensor, generator)
            if tensor.name in learned or (value.is_floating_point() and value.dim() > 1):
                self.register_buffer(f"weight{number}", value)
                self.places[tensor.name] = f"weight{number}"
            else:
                # Plain numbers: a compiler would stop at tensors of the host.
                self.constants[tensor.name] = value.tolist()
        self.nodes = [(node.op_type, list(node.input), list(node.output), attributes(node)) for node in graph.node]
        unknown = sorted({kind for kind, *_ in self.nodes if not hasattr(self, kind.lower())})
        if unknown:
            sys.exit(f"no torch function is known for: {', '.join(unknown)}")

    def forward(self, images):
        values = {self.input: images}

        def value(name):
            if name in self.places:
                return getattr(self, self.places[name])
            return self.constants[name] if name in self.constants else values[name]

        for kind, inputs, outputs, options in self.nodes:
            results = getattr(self, kind.lower())([value(name) if name else None for name in inputs], options)
            values.update(zip(outputs, results if isinstance(results, (list, tuple)) else [results]))
        return values[self.output]

    @staticmethod
    def conv(inputs, options):
        top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
        assert (top, left) == (bottom, right), "padding that differs from side to side"
        bias = inputs[2] if len(inputs) > 2 else None
        strides, dilations = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
        return F.conv2d(inputs[0], inputs[1], bias, strides, (top, left), dilations, options.get("group", 1))

    @staticmethod
    def maxpool(inputs, options):
        return F.max_pool2d(inputs[0], options["kernel_shape"], options["strides"], options["pads"][:2])

    @staticmethod
    def resize(inputs, options):
        return F.interpolate(inputs[0], scale_factor=inputs[2][2:], mode=options["mode"].decode())

    @staticmethod
    def reshape(inputs, options):
        return inputs[0].reshape([inputs[0].shape[0], *inputs[1][1:]])

    @staticmethod
    def split(inputs, options):
        return torch.split(inputs[0], inputs[1], options.get("axis", 0))

    @staticmethod
    def slice(inputs, options):
        values, starts, ends, axes = inputs[:4]
        for start, end, axis in zip(starts, ends, axes):
            values = values.narrow(axis, start, min(end, values.shape[axis]) - start)
        return values

    concat = staticmethod(lambda inputs, options: torch.cat(inputs, options["axis"]))
    transpose = staticmethod(lambda inputs, options: inputs[0].permute(options["perm"]))
    softmax = staticmethod(lambda inputs, options: torch.softmax(inputs[0], options.get("axis", -1)))
    sigmoid = staticmethod(lambda inputs, options: torch.sigmoid(inputs[0]))
    matmul = staticmethod(lambda inputs, options: inputs[0] @ inputs[1])
    mul = staticmethod(lambda inputs, options: inputs[0] * inputs[1])
    add = staticmethod(lambda inputs, options: inputs[0] + inputs[1])
    sub = staticmethod(lambda inputs, options: inputs[0] - inputs[1])
    div = staticmethod(lambda inputs, options: inputs[0] / inputs[1])


class FromImages(torch.nn.Module):
    """`uint8` rows of pixels in, the export's output out."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        planes = images.permute(0, 3, 1, 2).to(torch.float16) / 255
        return self.network(planes.contiguous(memory_format=torch.channels_last))


def boxes(output):
    """The usual post-processing on the device: per image rows of corners, score, class."""
    from torchvision.ops import batched_nms

    found = []
    for rows in output.float().transpose(1, 2):
        scores, classes = rows[:, 4:].max(1)
        sure = scores > CONFIDENCE
        rows, scores, classes = rows[sure], scores[sure], classes[sure]
        centres, halves = rows[:, :2], rows[:, 2:4] / 2
        corners = torch.cat([centres - halves, centres + halves], 1)
        kept = batched_nms(corners, scores, classes, IOU)[:MOST]
        found.append(torch.cat([corners[kept], scores[kept, None], classes[kept, None]], 1))
    return found


def graphed(module, images):
    """The module as a CUDA graph on these images' memory."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = module(images)

    def replay(_):
        graph.replay()
        return output

    return replay


def median_us(work, device, seconds):
    """The median of the device's times, after a warm-up."""
    for _ in range(10):
        work()
    times, start = [], time.perf_counter()
    while len(times) < 20 or time.perf_counter() - start < seconds:
        if device == "cpu":
            before = time.perf_counter()
            work()
            times.append((time.perf_counter() - before) * 1e6)
            if len(times) >= 3:
                break
            continue
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        work()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) * 1e3)
    return statistics.median(times)


def check(path, network, size):
    """The network in floats against onnxruntime, on noise."""
    try:
        import onnxruntime
    except ImportError:
        return None
    planes = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(3))
    (expected,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {network.input: planes.numpy()})
    with torch.inference_mode():
        off = network(planes).numpy() - expected
    return float(np.linalg.norm(off) / np.linalg.norm(expected))


def strip(model, target):
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) > 256:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    onnx.save(model, target)


def ours(path):
    """Microseconds of `onelook gpu-check`, from images to boxes: the quickest mechanism of each batch."""
    if path is None:
        return {}
    with open(path) as file:
        times = json.load(file)["times"]
    return {time["batch"]: min(graph["microseconds"] for graph in time["graphs"]) for time in times}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--batch", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement, at least")
    parser.add_argument("--ways", default="eager,graph,compile")
    parser.add_argument("--check", help="a report of onelook gpu-check to put beside")
    parser.add_argument("--report", help="where all goes as JSON")
    parser.add_argument("--strip", help="write the model without weights here, and end")
    options = parser.parse_args()

    try:
        model = onnx.load(options.model)
    except (OSError, DecodeError) as error:
        sys.exit(f"{options.model} cannot be read as ONNX: {error}")
    if options.strip:
        return strip(model, options.strip)
    size = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    network = Network(model.graph).eval()
    random = any(map(is_stripped, model.graph.initializer))
    off = None if random else check(options.model, network, size)
    if off is not None and not off < 1e-4:
        sys.exit(f"the network is {off:.1e} off from onnxruntime: nothing is timed")
    device = options.device
    network = network.half().to(device=device, memory_format=torch.channels_last)
    module = FromImages(network)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    report = {"device": name, "torch": torch.__version__, "model": options.model, "random": random, "off": off, "times": []}
    known = ours(options.check)
    print(f"{name}, PyTorch {torch.__version__}; off from onnxruntime: {off}")
    print(f"{'batch':>5} {'way':<8} {'network us':>11} {'boxes us':>10} {'images/s':>11}   onelook us, ratio to boxes")
    with torch.inference_mode():
        for batch in options.batch:
            for way in options.ways.split(","):
                images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, device=device)
                if way == "graph" and device == "cpu":
                    continue
                run = {"eager": lambda: module, "graph": lambda: graphed(module, images)}.get(
                    way, lambda: torch.compile(module, mode="max-autotune")
                )()
                line = {"batch": batch, "way": way}
                line["network_us"] = median_us(lambda: run(images), device, options.seconds)
                line["boxes_us"] = median_us(lambda: boxes(run(images)), device, options.seconds)
                own = known.get(batch)
                line["onelook_us"], beside = own, ""
                if own:
                    beside = f"   {own:.1f}, {line['boxes_us'] / own:.2f}"
                report["times"].append(line)
                rate = batch / line["network_us"] * 1e6
                print(f"{batch:>5} {way:<8} {line['network_us']:>11.1f} {line['boxes_us']:>10.1f} {rate:>11.0f}{beside}", flush=True)
    if options.report:
        with open(options.report, "w") as file:
            json.dump(report, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
