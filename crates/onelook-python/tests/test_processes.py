"""Threads, forks, signals and ends at any time: results or exceptions, never a crash and never a wait for ever."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import onelook

# Far longer than any of it takes on a loaded machine.
PATIENCE = 120


def run(script, *arguments, **options):
    """A script in an interpreter of its own, which has this one's packages."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, timeout=PATIENCE, capture_output=True, text=True, check=False, **options
    )


def test_a_fork_loads_the_model_again(weights, sample):
    script = """
import gc, os, sys, warnings
import numpy as np, onelook
warnings.simplefilter("ignore")
model = onelook.Model(sys.argv[1], device="cpu", threads=2)
expected = model(sys.argv[2])[0].boxes.data
stream = model([sys.argv[2]] * 3, stream=True)
next(stream)
child = os.fork()
if child == 0:
    assert np.array_equal(model(sys.argv[2])[0].boxes.data, expected)
    try:
        next(stream)
        os._exit(3)
    except onelook.errors.ClosedError as error:
        assert "fork" in str(error)
    model.close()
    del model, stream
    gc.collect()
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert np.array_equal(model(sys.argv[2])[0].boxes.data, expected)
assert len(list(stream)) == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""
    ended = run(script, weights, sample)
    assert ended.returncode == 0, ended.stderr


def test_workers_of_multiprocessing_share_a_model(weights, sample):
    script = """
import multiprocessing, sys, warnings
import numpy as np, onelook
warnings.simplefilter("ignore")
model = onelook.Model(sys.argv[1], device="cpu", threads=2)
expected = model(sys.argv[2])[0].boxes.data
def work(path):
    return np.asarray(model(path)[0].boxes.data)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for found in pool.map(work, [sys.argv[2]] * 4):
            assert np.array_equal(found, expected)
"""
    ended = run(script, weights, sample)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("call", ["model([image] * 100000)", "model.bench(runs=1000000)", "validate()"])
def test_ctrl_c_ends_a_long_call(weights, sample, tmp_path, call):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(400):
        (images / f"{number}.jpg").symlink_to(sample)
    (tmp_path / "data.yaml").write_text(
        "path: .\nval: images\nnames:\n" + "".join(f"  {index}: c{index}\n" for index in range(80))
    )
    script = f"""
import os, signal, sys, threading
import numpy as np, onelook
signal.signal(signal.SIGINT, signal.default_int_handler)
model = onelook.Model(sys.argv[1], device="cpu")
image = np.zeros((64, 64, 3), np.uint8)
def validate():
    model.val(sys.argv[2])
model(image)
try:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    {call}
except KeyboardInterrupt:
    model(image)
    sys.exit(7)
"""
    ended = run(script, weights, tmp_path / "data.yaml")
    assert ended.returncode == 7, ended.stderr


def test_ctrl_c_ends_the_wait_for_a_camera(weights):
    # A named pipe that nobody writes to: the source waits for ever.
    script = """
import os, signal, sys, tempfile, threading
import onelook
signal.signal(signal.SIGINT, signal.default_int_handler)
model = onelook.Model(sys.argv[1], device="cpu")
path = os.path.join(tempfile.mkdtemp(), "clip.mp4")
os.mkfifo(path)
try:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    model(path)
except KeyboardInterrupt:
    os._exit(7)
except onelook.OnelookError as error:
    # Refused at once is as good.
    print(error)
    os._exit(7)
"""
    ended = run(script, weights)
    assert ended.returncode == 7, ended.stderr


def test_writing_to_an_array_meanwhile_harms_only_its_boxes(weights):
    script = """
import sys, threading
import numpy as np, onelook
model = onelook.Model(sys.argv[1], device="cpu")
image = np.zeros((480, 640, 3), np.uint8)
done = threading.Event()
moved = 0
def write():
    global moved
    values = np.random.default_rng(0)
    while not done.is_set():
        image[:] = values.integers(0, 255, image.shape, np.uint8)
        for shape in [(64, 64, 3), (480, 640, 3)]:
            try:
                image.resize(shape, refcheck=False)
                moved += 1
            except ValueError:
                pass
thread = threading.Thread(target=write)
thread.start()
for _ in range(40):
    try:
        result = model(image, imgsz=320)[0]
        result.plot()
        list(model.track(image, persist=True, imgsz=320, tracker="botsort"))
    except (onelook.OnelookError, ValueError):
        pass
done.set()
thread.join()
image.resize((8, 8, 3), refcheck=False)
"""
    ended = run(script, weights)
    assert ended.returncode == 0, ended.stderr


def test_a_model_that_is_closed_meanwhile_ends_its_calls_well(weights):
    image = np.zeros((96, 96, 3), np.uint8)
    for _ in range(5):
        model = onelook.Model(weights, device="cpu")
        ends = []

        def call(model=model, ends=ends):
            try:
                while True:
                    for result in model([image] * 3, stream=True):
                        assert len(result) == 0
            except onelook.errors.ClosedError:
                ends.append("closed")

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        model.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert all(not thread.is_alive() for thread in threads)
        assert ends == ["closed"] * len(threads)


def test_an_exception_of_a_generator_is_the_callers(model):
    image = np.zeros((64, 64, 3), np.uint8)

    def images():
        yield image
        raise ZeroDivisionError("mine")

    results = model(images(), stream=True)
    assert len(next(results)) == 0
    with pytest.raises(ZeroDivisionError, match="mine"):
        next(results)
    with pytest.raises(ZeroDivisionError, match="mine"):
        model(images())


def test_a_generator_is_asked_for_no_more_than_is_wanted(model):
    asked = []

    def images():
        for number in range(1000):
            asked.append(number)
            yield np.zeros((64, 64, 3), np.uint8)

    results = model(images(), stream=True, batch=2)
    next(results)
    results.close()
    assert len(asked) == 2


def test_a_callback_that_raises_ends_a_validation(model, sample, tmp_path, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(20):
        (images / f"{number}.jpg").symlink_to(sample)
    names = "".join(f"  {index}: {name!r}\n" for index, name in model.names.items())
    (tmp_path / "data.yaml").write_text(f"path: .\nval: images\nnames:\n{names}")
    seen = []

    class Bar:
        def update(self, count):
            seen.append(count)
            raise ZeroDivisionError("mine")

        def close(self):
            seen.append("closed")

    monkeypatch.setattr("onelook.model.bar", lambda *_: Bar())
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.val(tmp_path / "data.yaml", imgsz=64)
    assert seen == [1, "closed"]


def test_an_ended_task_of_asyncio_ends_its_stream(weights):
    script = """
import asyncio, sys
import numpy as np, onelook
model = onelook.Model(sys.argv[1], device="cpu")
image = np.zeros((64, 64, 3), np.uint8)
asked = []
def images():
    while True:
        asked.append(True)
        yield image
async def main():
    async def consume():
        async for _ in model.stream_async(images()):
            pass
    task = asyncio.create_task(consume())
    while not asked:
        await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    count = len(asked)
    await asyncio.sleep(0.1)
    assert len(asked) == count
    found = await asyncio.gather(*(model.predict_async(image) for _ in range(32)))
    assert len(found) == 32
asyncio.run(main())
"""
    ended = run(script, weights)
    assert ended.returncode == 0, ended.stderr
