"""NumPy arrays as images: any strides, without a copy where that can be, and never a crash."""

import numpy as np
import pytest

import onelook
from onelook import _native


@pytest.fixture(scope="module")
def rgb(sample):
    return _native.decode(sample.read_bytes())


@pytest.fixture(scope="module")
def expected(model, rgb):
    return model(rgb, color="rgb")[0].boxes.data


LAYOUTS = {
    "bgr by a copy": lambda rgb: np.ascontiguousarray(rgb[..., ::-1]),
    "bgr by a negative stride": lambda rgb: rgb[..., ::-1],
    "columns in memory": lambda rgb: np.asfortranarray(rgb[..., ::-1]),
    "every second element": lambda rgb: np.repeat(rgb[..., ::-1], 2, axis=1)[:, ::2],
    "rows with gaps": lambda rgb: np.pad(rgb[..., ::-1], ((3, 2), (5, 7), (0, 0)))[3:-2, 5:-7],
    "the colours of four channels": lambda rgb: np.dstack([rgb[..., ::-1], rgb[..., :1]])[..., :3],
    "upside down twice": lambda rgb: np.ascontiguousarray(rgb[::-1, ::-1, ::-1])[::-1, ::-1],
    "read-only": lambda rgb: _readonly(np.ascontiguousarray(rgb[..., ::-1])),
}


def _readonly(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_boxes(model, rgb, expected, layout):
    image = LAYOUTS[layout](rgb)
    before = image.copy()
    result = model(image)[0]
    np.testing.assert_array_equal(result.boxes.data, expected)
    np.testing.assert_array_equal(image, before)
    assert result.orig_img is image


def test_grey_images_have_one_channel_or_none(model, rgb):
    grey = np.ascontiguousarray(rgb[..., 1])
    boxes = [model(image)[0].boxes.data for image in (grey, grey[..., None])]
    np.testing.assert_array_equal(*boxes)
    np.testing.assert_array_equal(boxes[0], model(np.dstack([grey] * 3))[0].boxes.data)


def test_arrays_of_files_and_results_are_not_copied(model, rgb, sample):
    result = model(sample)[0]
    rows = result.boxes.data
    address = rows.__array_interface__["data"][0]
    assert result.boxes.xyxy.__array_interface__["data"][0] == address
    assert np.asarray(rows).__array_interface__["data"][0] == address
    assert rows.numpy().__array_interface__["data"][0] == address
    # The memory belongs to a value of Rust, not to NumPy.
    base = rgb
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert not base.flags.owndata


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), TypeError, "uint8"),
        (np.zeros((8, 8, 3), np.int8), TypeError, "uint8"),
        (np.full((8, 8, 3), np.nan), TypeError, "uint8"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, "at least one pixel"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, "at least one pixel"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, "shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), ValueError, "shape"),
        (np.zeros(8, np.uint8), ValueError, "shape"),
        (np.zeros((), np.uint8), ValueError, "shape"),
        (np.array([["a", "b"]]), TypeError, "uint8"),
        (np.array([[object()]]), TypeError, "uint8"),
    ],
)
def test_what_is_no_image_is_an_error(model, image, error, words):
    with pytest.raises(error, match=words):
        model(image)


@pytest.mark.parametrize("side", [1, 2, 3, 31, 33])
def test_tiny_images_are_images(model, side):
    for shape in [(side, 1, 3), (1, side, 3), (side, side, 3)]:
        image = np.zeros((shape[0] * 2, shape[1] * 2, 3), np.uint8)[::2, ::2]
        assert model(image)[0].orig_shape == shape[:2]


def test_raw_outputs_are_arrays(model):
    outputs = model.run(np.zeros((1, 3, 64, 96), np.float32))
    assert all(output.dtype == np.float32 and output.shape[0] == 1 for output in outputs)
    with pytest.raises((onelook.OnelookError, ValueError)):
        model.run(np.zeros((1, 3, 33, 96), np.float32))
    with pytest.raises(TypeError):
        model.run(np.zeros((1, 3, 64, 96)))
