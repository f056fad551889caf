"""Predictions: sources, options, results, errors."""

import asyncio
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import data

import onelook
from onelook import _native


def names(result):
    return sorted(found["name"] for found in result.summary())


def test_boxes_are_those_of_the_command_line(model, weights, sample, command_line):
    arguments = ["predict", f"model={weights}", f"source={sample}", "--json", "--no-save", "device=cpu"]
    run = subprocess.run([*command_line, *arguments], capture_output=True, check=True, text=True)
    line = json.loads(run.stdout.splitlines()[0])
    assert model(sample)[0].summary() == line["detections"]


def test_every_kind_of_source_gives_the_same_boxes(model, sample, tmp_path):
    image = pytest.importorskip("PIL.Image")
    encoded = sample.read_bytes()
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded)
    rgb = _native.decode(encoded)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    expected = model(str(sample))[0].boxes.data
    png = io.BytesIO(_native.encode_png(bgr))
    sources = [
        sample,
        [sample],
        folder,
        f"{folder}/*.jpg",
        bgr,
        [bgr],
        (array for array in [bgr]),
        encoded,
        bytearray(encoded),
        io.BytesIO(encoded),
        png,
        image.fromarray(rgb),
    ]
    for source in sources:
        results = model(source)
        assert len(results) == 1
        np.testing.assert_array_equal(results[0].boxes.data, expected)
    with sample.open("rb") as file:
        np.testing.assert_array_equal(model(file)[0].boxes.data, expected)


def test_a_batch_gives_what_single_images_give(model, sample):
    rgb = _native.decode(sample.read_bytes())
    images = [rgb, rgb[:300], rgb[:, :500], rgb[::2, ::2]]
    together = model(images, color="rgb", batch=4)
    for image, result in zip(images, together, strict=True):
        alone = model(image, color="rgb")[0]
        np.testing.assert_array_equal(result.boxes.data, alone.boxes.data)


def test_attributes_are_those_of_the_reference(model, sample):
    result = model(sample)[0]
    boxes = result.boxes
    height, width = result.orig_shape
    assert (height, width) == result.orig_img.shape[:2]
    assert boxes.shape == (len(result), 6)
    assert boxes.id is None and not boxes.is_track
    np.testing.assert_allclose(boxes.xyxyn, boxes.xyxy / [width, height, width, height], rtol=1e-5)
    np.testing.assert_allclose(boxes.xywh[:, 2:], boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], rtol=1e-5)
    for box in boxes:
        left, top, right, bottom = map(int, box.xyxy[0])
        assert left <= right and top <= bottom
        assert model.names[int(box.cls)] in names(result)
        assert 0.25 < float(box.conf) <= 1
    assert boxes.cls.int().cpu().tolist() == [found["class"] for found in result.summary()]
    assert isinstance(boxes.cpu().numpy().xyxy.cpu().numpy(), np.ndarray)
    assert set(result.speed) == {"preprocess", "inference", "postprocess"}
    assert result.masks is None and result.probs is None and result.obb is None
    assert len(result[0]) == 1 and len(result[boxes.conf > 2]) == 0
    assert [len(one) for one in result] == [1] * len(result)
    assert json.loads(result.to_json()) == result.summary()
    assert len(result.to_csv().splitlines()) == len(result) + 1
    assert result.summary(normalize=True)[0]["box"]["x2"] <= 1


def test_options_have_the_names_and_defaults_of_the_reference(model, sample):
    everything = model(sample, conf=0.01)[0]
    assert len(everything) > len(model(sample)[0])
    assert set(names(model(sample, classes=["person"])[0])) == {"person"}
    assert set(names(model(sample, classes=[15])[0])) == {"cat"}
    assert len(model(sample, max_det=1)[0]) == 1
    assert model(sample, imgsz=320)[0]._detections.input_size == (192, 320)
    assert model(sample, imgsz=320, rect=False)[0]._detections.input_size == (320, 320)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"conf": 2}, ValueError, "conf"),
        ({"iou": float("nan")}, ValueError, "iou"),
        ({"classes": ["unicorn"]}, ValueError, "unicorn"),
        ({"classes": [99]}, ValueError, "99"),
        ({"imgsz": 0}, ValueError, "imgsz"),
        ({"imgsz": (1, 2, 3)}, ValueError, "imgsz"),
        ({"batch": 0}, ValueError, "batch"),
        ({"color": "cmyk"}, ValueError, "color"),
        ({"confidence": 0.5}, TypeError, "conf"),
        ({"augment": True}, ValueError, "augment"),
        ({"half": True}, ValueError, "quantize"),
        ({"quantize": 16}, ValueError, "quantize"),
        ({"end2end": True}, ValueError, "end2end"),
        ({"device": "cuda:0"}, ValueError, "device='cuda:0'"),
        ({"device": [0, 1]}, ValueError, "device='0,1'"),
        ({"device": "toaster"}, RuntimeError, "toaster"),
        ({"imgsz": -1}, ValueError, "imgsz"),
        ({"imgsz": 1 << 20}, ValueError, "imgsz"),
        ({"imgsz": 1 << 70}, ValueError, "imgsz"),
        ({"imgsz": 0.5}, ValueError, "imgsz"),
        ({"imgsz": "640"}, ValueError, "imgsz"),
        ({"batch": 1.5}, ValueError, "batch"),
        ({"max_det": -1}, ValueError, "max_det"),
        ({"max_det": None}, ValueError, "max_det"),
        ({"classes": [-1]}, ValueError, "classes"),
        ({"conf": "high"}, ValueError, "conf"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(model, sample, options, error, words):
    image = _native.decode(sample.read_bytes())
    with pytest.raises(error, match=words):
        model(image, **options)


def test_errors_are_those_of_their_kind(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nobody\.jpg"):
        model("nobody.jpg")
    with pytest.raises(onelook.errors.FileError):
        onelook.Model(tmp_path / "nobody.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no model")
    with pytest.raises(onelook.errors.ModelError, match=r"broken\.pt"):
        onelook.Model(broken)
    with pytest.raises(onelook.errors.DeviceError):
        onelook.Model(broken, device="toaster")
    image = tmp_path / "broken.jpg"
    image.write_bytes(b"\xff\xd8\xff nothing")
    for source in (image, image.read_bytes()):
        with pytest.raises(onelook.errors.ImageError):
            model(source)
    for source in (None, 3.5, object(), {"a": 1}):
        with pytest.raises(onelook.OnelookError):
            model(source)


def test_one_broken_image_among_many_is_told_and_passed_over(model, sample, tmp_path, caplog):
    (tmp_path / "a.jpg").write_bytes(b"nonsense")
    (tmp_path / "b.jpg").write_bytes(sample.read_bytes())
    with caplog.at_level(logging.INFO, logger="onelook"):
        assert len(model(tmp_path)) == 1
    assert "a.jpg" in caplog.text and "image 1" in caplog.text


def test_a_closed_model_says_so(weights, sample):
    with onelook.Model(weights, device="cpu") as model:
        model(sample)
    with pytest.raises(onelook.errors.ClosedError):
        model(sample)
    assert "closed" in repr(model)


def test_a_model_can_be_pickled(model, sample):
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again(sample)[0].boxes.data, model(sample)[0].boxes.data)


def test_many_threads_get_their_own_results(model, sample):
    rgb = _native.decode(sample.read_bytes())
    crops = [np.ascontiguousarray(rgb[:, start:]) for start in range(0, 320, 20)]
    expected = [model(crop, color="rgb")[0].boxes.data for crop in crops]
    wrong = []

    def run(number):
        for _ in range(3):
            found = model(crops[number], color="rgb")[0].boxes.data
            if not np.array_equal(found, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_event_loop_goes_on_while_images_are_predicted(model, sample):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        results = await asyncio.gather(*(model.predict_async(sample) for _ in range(4)))
        streamed = [result async for result in model.stream_async([sample, sample])]
        ticking.cancel()
        return ticks, results, streamed

    ticks, results, streamed = asyncio.run(main())
    assert ticks > 10 and len(results) == 4 and len(streamed) == 2
    for result in [*(it for found in results for it in found), *streamed]:
        np.testing.assert_array_equal(result.boxes.data, model(sample)[0].boxes.data)


def test_saving_writes_what_the_command_line_writes(model, sample, tmp_path):
    results = model(
        sample, save=True, save_txt=True, save_conf=True, save_crop=True, project=tmp_path, name="run"
    )
    folder = tmp_path / "run"
    assert results[0].save_dir == str(folder)
    assert (folder / "sample.jpg").read_bytes()[:2] == b"\xff\xd8"
    lines = (folder / "labels/sample.txt").read_text().splitlines()
    assert len(lines) == len(results[0]) and all(len(line.split()) == 6 for line in lines)
    assert len(list((folder / "crops").glob("*/*.jpg"))) == len(results[0])
    model(sample, save=True, project=tmp_path, name="run")
    assert (tmp_path / "run-2/sample.jpg").exists()


def test_plots_keep_the_order_of_channels(model, sample):
    result = model(sample)[0]
    assert (result.plot(line_width=1) != result.plot(line_width=9)).any()
    bgr, rgb = result.plot(), result.plot(color="rgb")
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])
    assert (bgr != result.orig_img).any()
    html = result._repr_html_()
    assert "data:image/jpeg;base64," in html and "cat" in html


def test_the_models_own_device_may_be_named_in_each_call(model, sample):
    class Device:
        """What stands for a device in other packages."""

        def __str__(self):
            return "cpu"

    for device in ("cpu", "CPU", None, "auto", Device()):
        assert len(model(sample, device=device, half=False, quantize=32)[0])
    assert model.to("cpu") is model and model.fuse() is model
    with pytest.raises(onelook.errors.SettingError, match="runs on cpu"):
        model.to("cuda")


def test_lines_of_the_log_and_their_absence(weights, sample, caplog):
    with caplog.at_level(logging.INFO, logger="onelook"):
        model = onelook.Model(weights, device="cpu")
        assert "on cpu" in caplog.text
        caplog.clear()
        model(sample)
        assert "image 1/1" in caplog.text and "cat" in caplog.text and "ms" in caplog.text
        caplog.clear()
        model(sample, verbose=False)
        onelook.Model(weights, device="cpu", verbose=False)
        assert caplog.text == ""


def test_nothing_is_printed_unless_logging_is_set_up(weights, sample):
    script = "import sys, onelook; onelook.Model(sys.argv[1], device='cpu')(sys.argv[2])"
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [sys.executable, "-c", script, weights, sample],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=True,
    )
    assert ended.stdout == b"" and ended.stderr == b""


def test_progress_is_shown_by_tqdm(model, sample, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    model([sample] * 3, progress=True)
    assert "predicting: 100%" in capsys.readouterr().err
    model([sample] * 3, progress=False)
    model([sample] * 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model([sample] * 3)
    with pytest.raises(ImportError, match="pip install tqdm"):
        model(sample, progress=True)


def test_class_names_lead_to_no_other_directory(model, sample, tmp_path):
    result = model(sample)[0]
    result.names = dict.fromkeys(result.names, "../../outside/.")
    result.save_crop(tmp_path / "a/b/crops")
    written = [path.relative_to(tmp_path / "a/b/crops") for path in tmp_path.rglob("*.jpg")]
    assert len(written) == len(result) and {path.parts[0] for path in written} == {"_.._outside_"}


def test_images_of_one_name_have_files_of_their_own(model, sample, tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "cat.jpg")
        paths[-1].write_bytes(sample.read_bytes())
    model(paths, save=True, save_txt=True, project=tmp_path, name="run", imgsz=64, conf=0.01)
    assert sorted(path.name for path in (tmp_path / "run").glob("*.jpg")) == ["cat-2.jpg", "cat.jpg"]


def test_tables(model, sample):
    result = model(sample)[0]
    pytest.importorskip("pandas")
    frame = result.to_df()
    assert list(frame["name"]) == [found["name"] for found in result.summary()]
    assert {"x1", "y1", "x2", "y2", "confidence", "class"} <= set(frame.columns)


def test_a_validation_gives_the_figures_of_the_command_line(model, weights, command_line, tmp_path):
    annotations = data("coco-val-subset/instances.json")
    options = ["--model", weights, "--data", annotations, "--device", "cpu", "--imgsz", "160", "--json"]
    command = [*command_line, "val", *options]
    ended = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path)
    metrics = model.val(annotations, imgsz=160)
    line = json.loads(ended.stdout.splitlines()[-1])
    assert metrics.box.map == pytest.approx(line["stats"][0])
    assert metrics.values["images"] == 128 and 0.1 < metrics.box.map < metrics.box.map50 < 1
    assert metrics.results_dict["metrics/mAP50(B)"] == metrics.box.map50
    assert "128 images" in repr(metrics) and metrics.speed["inference"] > 0
    with pytest.raises(FileNotFoundError):
        model.val("nobody.yaml")


def test_figures(model, sample):
    times = model.bench(imgsz=64, runs=3, warmup=1)
    assert 0 < times["min_ms"] <= times["median_ms"]
    assert times["median_ms"] <= times["p99_ms"] and times["images_per_second"] > 0
    for options in ({"runs": 0}, {"runs": -1}, {"warmup": -1}, {"runs": 1 << 80}, {"imgsz": 0}):
        with pytest.raises(onelook.errors.SettingError):
            model.bench(**options)
    info = model.info()
    assert info["parameters"] > 2e6 and info["classes"] == len(model.names) == 80
    assert info["task"] == "detect" and info["gflops"] > 1 and info["device"].startswith("cpu")
    report = model.verify(sample, imgsz=160)
    assert report["equal"] and report["matched"] > 0
