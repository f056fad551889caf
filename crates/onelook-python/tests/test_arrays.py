"""NumPy arrays as images: any strides, without a copy where that can be, and never a crash."""

import ctypes
import gc
import sys

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


def address(array):
    return array.__array_interface__["data"][0]


def test_images_are_read_where_they_lie(rgb):
    """The address that the engine reads is the one that NumPy tells."""
    image = np.ascontiguousarray(rgb[..., ::-1])
    assert _native.image_address(image) == (address(image), True)
    assert _native.image_address(_readonly(image.view())) == (address(image), True)
    # In reverse order the first element is the last byte of a pixel.
    assert _native.image_address(image[..., ::-1], "rgb") == (address(image), True)
    part = image[3:-2, 5:-7]
    assert _native.image_address(part) == (address(part), True)
    grey = np.ascontiguousarray(image[..., 0])
    assert _native.image_address(grey) == (address(grey), True)
    for scattered in (image[:, ::2], image[::-1], image[:, ::-1], image[..., 0], image.transpose(1, 0, 2)):
        assert not _native.image_address(scattered)[1]


def owner(array):
    """The object whose memory it is."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


def test_results_are_the_memory_of_the_engine(model, rgb, sample):
    """Arrays lie in a vector of Rust that their last owner holds, not in memory of NumPy."""
    result = model(sample)[0]
    for array in (rgb, result.boxes.data, model.run(np.zeros((1, 3, 64, 64), np.float32))[0]):
        holder = owner(array)
        assert not isinstance(holder, np.ndarray)
        words = (ctypes.c_size_t * (sys.getsizeof(holder) // 8)).from_address(id(holder))
        assert address(array) in list(words)
    rows = result.boxes.data
    for part in (result.boxes.xyxy, result.boxes.conf, result.boxes.cls, rows.numpy(), np.asarray(rows)):
        assert address(rows) <= address(part) < address(rows) + rows.nbytes
        assert owner(part) is owner(rows)


def test_results_outlive_what_they_are_of(weights, sample):
    model = onelook.Model(weights, device="cpu")
    rows = model(sample)[0].boxes.data
    before = rows.copy()
    model.close()
    del model
    gc.collect()
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), TypeError, "uint8"),
        (np.zeros((8, 8, 3), np.int8), TypeError, "uint8"),
        (np.full((8, 8, 3), np.nan), TypeError, "uint8"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, "at least one pixel"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, "at least one pixel"),
        (np.zeros((8, 8, 5), np.uint8), ValueError, "shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), ValueError, "shape"),
        (np.zeros(8, np.uint8), ValueError, "shape"),
        (np.zeros((), np.uint8), ValueError, "shape"),
        (np.zeros((8, 8, 3), np.uint16), TypeError, r"// 257"),
        (np.zeros((8, 8, 3), np.float64), TypeError, r"\* 255"),
        (np.zeros((8, 8), bool), TypeError, r"\* 255"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, "transpose"),
        (np.zeros((4, 8, 8, 3), np.uint8), ValueError, "list"),
        (np.broadcast_to(np.uint8(0), (1 << 20, 1 << 20, 3)), ValueError, "too large"),
        (np.broadcast_to(np.uint8(0), (1 << 40, 1 << 20)), ValueError, "too large"),
        (np.zeros((8, 8, 0), np.uint8), ValueError, "shape"),
        (np.zeros((8, 8, 3), ">u2"), TypeError, "uint8"),
        (np.zeros((8, 8), [("r", "u1"), ("g", "u1")]), TypeError, "uint8"),
        (np.zeros((8, 8), "datetime64[s]"), TypeError, "uint8"),
        (np.array([["a", "b"]]), TypeError, "uint8"),
        (np.array([[object()]]), TypeError, "uint8"),
    ],
)
def test_what_is_no_image_is_an_error(model, image, error, words):
    with pytest.raises(error, match=words):
        model(image)


@pytest.mark.parametrize("use", ["draw", "encode_png", "encode_jpeg", "update"])
def test_what_is_no_image_is_an_error_everywhere(model, sample, use):
    result = model(sample)[0]
    image = np.zeros((8, 8, 3), np.float32)
    calls = {
        "draw": lambda: result.plot(img=image),
        "encode_png": lambda: _native.encode_png(image),
        "encode_jpeg": lambda: _native.encode_jpeg(image),
        "update": lambda: _native.Tracker("botsort").update(image, "bgr", 0, result._detections),
    }
    with pytest.raises(TypeError, match="uint8"):
        calls[use]()


def test_an_image_of_another_size_may_be_drawn_on(model, sample):
    result = model(sample)[0]
    for shape in [(1, 1, 3), (7, 900, 3), (2000, 3, 3)]:
        assert result.plot(img=np.zeros(shape, np.uint8), line_width=10**6).shape == shape


@pytest.mark.parametrize("shape", [(1, 20000, 3), (20000, 1, 3), (3, 70000), (5000, 5000)])
def test_long_and_large_images_are_images(model, shape):
    assert model(np.zeros(shape, np.uint8), imgsz=64)[0].orig_shape == shape[:2]


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
    huge = np.broadcast_to(np.float32(0), (1, 3, 1 << 20, 1 << 20))
    with pytest.raises(ValueError, match="too large"):
        model.run(huge)
    for shape in [(0, 3, 64, 64), (1, 3, 0, 64), (1, 4, 64, 64), (3, 64, 64)]:
        with pytest.raises((TypeError, ValueError)):
            model.run(np.zeros(shape, np.float32))
    # What a network makes of NaN is its own matter; it ends.
    model.run(np.full((1, 3, 64, 64), np.nan, np.float32))


def test_pil_images_of_every_mode(model, sample):
    pil = pytest.importorskip("PIL.Image")
    image = pil.open(sample)
    expected = model(image)[0].boxes.data
    assert len(expected)
    np.testing.assert_array_equal(model(image.convert("RGBA"))[0].boxes.data, expected)
    for mode in ("P", "1", "L", "LA", "PA", "CMYK", "YCbCr", "HSV", "RGBX"):
        result = model(image.convert(mode) if mode != "PA" else image.convert("P").convert("PA"))[0]
        assert result.orig_shape == (image.height, image.width), mode
    grey = image.convert("L")
    deep = pil.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert deep.mode.startswith("I;16")
    np.testing.assert_array_equal(model(deep)[0].boxes.data, model(grey)[0].boxes.data)
    for mode in ("I", "F"):
        with pytest.raises(onelook.errors.ImageError, match=f"mode {mode}"):
            model(grey.convert(mode))


def test_exif_turns_images(model, sample, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    image = pil.open(sample)
    upright = (image.width, image.height)
    path = tmp_path / "turned.png"
    exif = pil.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    turned = pil.open(path)
    expected = model(np.ascontiguousarray(np.rot90(np.asarray(image), -1)[..., ::-1]))[0].boxes.data
    assert len(expected) and turned.size == image.size
    result = model(turned)[0]
    assert result.orig_shape == upright
    np.testing.assert_array_equal(result.boxes.data, expected)
    path = tmp_path / "turned.jpg"
    image.save(path, exif=exif, quality=95)
    for source in (path, path.read_bytes()):
        assert model(source)[0].orig_shape == upright


def test_a_fourth_channel_is_left_out(model, rgb, expected):
    bgra = np.dstack([rgb[..., ::-1], rgb[..., :1]])
    result = model(bgra)[0]
    np.testing.assert_array_equal(result.boxes.data, expected)
    assert result.orig_img.shape == rgb.shape
    with pytest.raises(ValueError, match=r":3"):
        result.plot(img=bgra)


def test_a_broken_pil_image_is_an_error(model, sample, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    path = tmp_path / "cut.png"
    pil.open(sample).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(OSError):
        model(pil.open(path))
