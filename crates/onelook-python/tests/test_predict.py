"""Predictions: sources, options, results, errors."""

import asyncio
import io
import json
import logging
import pickle
import subprocess
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
    objects = line.get("predictions") or line.get("objects") or line
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
    bgr, rgb = result.plot(), result.plot(color="rgb")
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])
    assert (bgr != result.orig_img).any()
    html = result._repr_html_()
    assert "data:image/jpeg;base64," in html and "cat" in html


def test_masks_key_points_and_classes(sample):
    segment = onelook.Model(data("weights/yolo26n-seg.pt"), device="cpu")(sample)[0]
    assert segment.masks.data.shape[0] == len(segment) == len(segment.masks.xy)
    assert set(np.unique(segment.masks.data)) <= {0, 1}
    assert "segments" in segment.summary()[0]


def test_figures(model, sample):
    times = model.bench(imgsz=64, runs=3, warmup=1)
    assert 0 < times["min_ms"] <= times["median_ms"]
    assert model.info()["parameters"] > 2e6
    report = model.verify(sample, imgsz=160)
    assert report["equal"] and report["matched"] > 0
