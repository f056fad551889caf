"""Masks, key points, turned boxes and classes, as recorded from the reference."""

import json
import sys
import types

import numpy as np
import pytest
from conftest import data

import onelook


@pytest.fixture(scope="module")
def recorded():
    return json.loads(data("reference/tasks.json").read_text())


def load(name):
    """A model, where its task is one that onelook reads so far."""
    try:
        return onelook.Model(data(f"weights/{name}.pt"), device="cpu")
    except onelook.errors.ModelError as error:
        if "so far" not in str(error) and "is a classifier" not in str(error):
            raise
        pytest.skip(str(error))


def run(name, recorded, **options):
    """The model's results beside what was recorded of each image."""
    model = load(f"tasks/{name}")
    images = list(recorded[name]["images"].items())[:4]
    paths = [data(f"tasks/{path}") for path, _ in images]
    return model, list(zip(model(paths, **options), (found for _, found in images), strict=True))


@pytest.mark.parametrize("name", ["yolo11n-obb-shapes", "yolo26n-obb-shapes"])
def test_turned_boxes(name, recorded):
    model, pairs = run(name, recorded)
    assert model.task == "obb"
    for result, expected in pairs:
        turned = result.obb
        assert result.boxes is None and len(turned) == len(result) == len(expected) > 0
        assert turned.shape == (len(expected), 7)
        for index, found in enumerate(expected):
            assert int(turned.cls[index]) == found["cls"]
            assert float(turned.conf[index]) == pytest.approx(found["conf"], abs=2e-3)
            np.testing.assert_allclose(turned.xywhr[index], found["xywhr"], atol=0.5)
            corners = np.reshape(found["xyxyxyxy"], (4, 2))
            np.testing.assert_allclose(turned.xyxyxyxy[index], corners, atol=1)
            box = result.summary()[index]["box"]
            assert [box["x1"], box["y1"], box["x4"], box["y4"]] == pytest.approx(
                [*corners[0], *corners[3]], abs=1
            )
        assert turned.xyxyxyxyn.max() <= 1.5
        upright = turned.xyxy
        assert (upright[:, 2:] > upright[:, :2]).all()
        assert len(result[0].obb) == 1


@pytest.mark.parametrize("name", ["yolo11n-pose-figures", "yolo26n-pose-figures"])
def test_key_points(name, recorded):
    model, pairs = run(name, recorded)
    assert model.task == "pose"
    for result, expected in pairs:
        points = result.keypoints
        assert points.shape == (len(expected), 5, 3) and points.has_visible
        wanted = np.array([found["keypoints"] for found in expected])
        np.testing.assert_allclose(points.xy, wanted[..., :2], atol=1)
        np.testing.assert_allclose(points.conf, wanted[..., 2], atol=5e-3)
        height, width = result.orig_shape
        np.testing.assert_allclose(points.xyn * [width, height], points.xy, rtol=1e-5)
        assert len(result.summary()[0]["keypoints"]["x"]) == 5
        assert len(result[0].keypoints) == 1 and len(list(points)) == len(points)


def test_classes(recorded):
    model, pairs = run("yolo11n-cls-shapes", recorded)
    assert model.task == "classify"
    for result, expected in pairs:
        probs = result.probs
        assert result.boxes is None and result.obb is None and len(result) == 1
        np.testing.assert_allclose(probs.data, expected["probs"], atol=2e-3)
        assert probs.top5 == expected["top5"] and probs.top1 == expected["top5"][0]
        assert float(probs.top1conf) == max(probs.data)
        assert result.summary()[0]["name"] == model.names[probs.top1]
        assert model.names[probs.top1] in result.verbose()
        assert "class" in result._repr_html_()
        with pytest.raises(TypeError, match="classif"):
            result.to_supervision()


def test_masks(sample):
    model = onelook.Model(data("weights/yolo26n-seg.pt"), device="cpu")
    result = model(sample)[0]
    masks = result.masks
    # As large as the network's input, less its padding.
    assert masks.shape == (len(result), 366, 640) and result._detections.input_size == (384, 640)
    assert len(masks.xy) == len(result)
    assert set(np.unique(masks.data)) == {0, 1}
    for outline, fractions in zip(masks.xy, masks.xyn, strict=True):
        assert outline.shape[1] == 2 and 0 <= fractions.min() and fractions.max() <= 1
    assert "segments" in result.summary()[0]
    whole = model(sample, retina_masks=True)[0].masks
    assert whole.shape == (len(result), *result.orig_shape)
    for small, large, box in zip(
        masks._of_image(), whole.data.astype(bool), result.boxes.xyxy.astype(int), strict=True
    ):
        assert (small & large).sum() / (small | large).sum() > 0.9
        left, top, right, bottom = box
        assert large[top:bottom, left:right].sum() > 0.9 * large.sum()
    assert len(masks[[0]].xy) == 1 and len(result[-1:].masks) == 1


@pytest.mark.parametrize(
    ("name", "part", "shape"),
    [
        ("tasks/yolo11n-obb-shapes", "obb", (0, 7)),
        ("tasks/yolo11n-pose-figures", "keypoints", (0, 5, 3)),
        ("yolo11n-recon", "boxes", (0, 6)),
    ],
)
def test_nothing_found_has_the_shape_of_what_is_looked_for(name, part, shape):
    model = load(name)
    result = model(np.zeros((64, 64, 3), np.uint8), conf=1)[0]
    assert len(result) == 0 and getattr(result, part).shape == shape
    assert result.summary() == [] and result.to_csv().strip() == ""
    assert result.verbose() == "(no detections)" and "no detections" in result._repr_html_()
    assert len(result.to_df()) == 0
    assert len(list(result)) == 0 and result.plot().shape == (64, 64, 3)


def test_turned_boxes_of_rows():
    rows = [[50, 40, 20, 10, 0, 7, 0.5, 1], [50, 40, 20, 10, np.pi / 2, 8, 0.25, 0]]
    turned = onelook.OBB(np.array(rows, np.float32), (100, 200))
    assert turned.id.tolist() == [7, 8] and turned.conf.tolist() == [0.5, 0.25] and turned.is_track
    np.testing.assert_allclose(turned.xyxy, [[40, 35, 60, 45], [45, 30, 55, 50]], atol=1e-4)
    np.testing.assert_allclose(turned.xyxyxyxy[0], [[60, 45], [60, 35], [40, 35], [40, 45]], atol=1e-4)
    np.testing.assert_allclose(turned.xyxyxyxyn[0, 0], [0.3, 0.45], rtol=1e-5)
    assert turned[1].cls.tolist() == [0] and len(list(turned)) == 2


def test_probabilities_of_values():
    probs = onelook.Probs(np.array([0.1, 0.4, 0.1, 0.3, 0.05, 0.05], np.float32))
    assert probs.top1 == 1 and probs.top5 == [1, 3, 0, 2, 4]
    assert float(probs.top1conf) == pytest.approx(0.4)
    np.testing.assert_allclose(probs.top5conf, [0.4, 0.3, 0.1, 0.1, 0.05])


class StandIn:
    """What `supervision.Detections` is given, where supervision itself, which brings OpenCV, is not installed."""

    def __init__(self, xyxy, mask=None, confidence=None, class_id=None, tracker_id=None, data=None):
        self.xyxy, self.mask, self.confidence = xyxy, mask, confidence
        self.class_id, self.tracker_id, self.data = class_id, tracker_id, data


@pytest.fixture
def supervision(monkeypatch):
    try:
        import supervision
    except ImportError:
        supervision = types.ModuleType("supervision")
        supervision.Detections = StandIn
        monkeypatch.setitem(sys.modules, "supervision", supervision)
    return supervision


def test_supervision_gets_boxes_and_masks(supervision, sample):
    result = onelook.Model(data("weights/yolo26n-seg.pt"), device="cpu")(sample)[0]
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections)
    np.testing.assert_array_equal(found.xyxy, result.boxes.xyxy)
    np.testing.assert_array_equal(found.confidence, result.boxes.conf)
    assert list(found.class_id) == result.boxes.cls.int().tolist()
    assert found.mask.shape == (len(result), *result.orig_shape) and found.mask.dtype == bool
    assert found.tracker_id is None
    assert list(found.data["class_name"]) == [row["name"] for row in result.summary()]


def test_supervision_gets_turned_boxes_and_track_ids(supervision, recorded):
    model, pairs = run("yolo11n-obb-shapes", recorded)
    result = pairs[0][0]
    found = result.to_supervision()
    np.testing.assert_array_equal(found.data["xyxyxyxy"], result.obb.xyxyxyxy)
    image = result.orig_img
    for _ in range(3):
        tracked = model.track(image, persist=True, tracker="bytetrack")[0]
    assert list(tracked.to_supervision().tracker_id) == tracked.obb.id.int().tolist()
