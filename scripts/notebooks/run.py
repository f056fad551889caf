#!/usr/bin/env python3
"""Executes every notebook from its first cell to its last, as a reader would, and fails on the first error.

    python3 scripts/notebooks/run.py [NAME..] [--images DIR]

In: notebooks/*/*.ipynb, and this interpreter, which has to have onelook, nbclient, ipykernel, matplotlib and pillow.
A cell that is tagged `image` must show an image that is not of one colour. `--images` keeps all images, to be looked
at. Models come from `ONELOOK_TEST_DATA` (or ../shared/data) where that is there, else they are fetched.
Code is the same in both languages: by default the second language is executed only where it differs.
"""

import argparse
import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
CELL_SECONDS = 300


def images_of(cell):
    """The encoded images that a cell shows, also those within HTML."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        for kind in ("image/png", "image/jpeg"):
            if kind in data:
                yield base64.b64decode(data[kind])
        for found in re.findall(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", data.get("text/html", "")):
            yield base64.b64decode(found)


def check_images(notebook, name, folder):
    """How many images there are; an error where a cell that has to show one does not."""
    count = 0
    for number, cell in enumerate(notebook.cells):
        found = list(images_of(cell)) if cell.cell_type == "code" else []
        if "image" in cell.metadata.get("tags", []) and not found:
            raise AssertionError(f"cell {number} shows no image")
        for encoded in found:
            image = Image.open(io.BytesIO(encoded)).convert("L")
            low, high = image.getextrema()
            if min(image.size) < 32 or high - low < 32:
                raise AssertionError(f"cell {number} shows an image of {image.size} with values from {low} to {high}")
            if folder is not None:
                ending = "png" if encoded[:4] == b"\x89PNG" else "jpg"
                (folder / f"{name}-{number:02}.{ending}").write_bytes(encoded)
            count += 1
    return count


def use_test_data(folder):
    """Models by name out of the test data, so that nothing is downloaded."""
    data = Path(os.environ.get("ONELOOK_TEST_DATA") or ROOT / "../shared/data")
    weights = [path for path in [data / "weights/yolo26n.pt"] if path.is_file()]
    if weights:
        for path in weights:
            (folder / path.name).symlink_to(path.resolve())
        os.environ["ONELOOK_MODELS"] = str(folder)


def execute(path, folder):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return check_images(notebook, f"{path.parent.name}-{path.stem}", folder)


def code_of(path):
    """The code cells alone: what executing a notebook depends on."""
    return [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def use_this_interpreter(folder):
    """A kernel `python3` that is this interpreter, whatever else is installed for the user."""
    kernel = folder / "kernels/python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    os.environ["JUPYTER_PATH"] = str(folder)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "0"


def say_what_is_executed():
    """The package and the program, as a kernel of this interpreter finds them; an error where there is none."""
    code = "import onelook; print(onelook.__version__, onelook.__file__)"
    program = ["-m", "onelook", "--version"]
    for words in [["-c", code], program]:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=NOTEBOOKS)
        if done.returncode:
            sys.exit(f"onelook cannot be used by {sys.executable}: {done.stderr.strip().splitlines()[-1]}")
        print(f"executes {done.stdout.strip()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks to run, such as en/04-speed [default: all]")
    parser.add_argument("--images", type=Path, help="directory for all images that notebooks show")
    parser.add_argument("--all", action="store_true", help="also the second language where its code is the same")
    arguments = parser.parse_args()
    if arguments.images is not None:
        arguments.images.mkdir(parents=True, exist_ok=True)
        arguments.images = arguments.images.resolve()
    known = sorted(NOTEBOOKS.glob("*/*.ipynb"))
    chosen = [path for path in known if not arguments.names or f"{path.parent.name}/{path.stem}" in arguments.names]
    if not chosen or len(chosen) < len(arguments.names):
        sys.exit(f"no such notebook; there are {', '.join(f'{path.parent.name}/{path.stem}' for path in known)}")
    say_what_is_executed()
    failed, seen = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        use_test_data(folder)
        use_this_interpreter(folder)
        for path in chosen:
            name, code = f"{path.parent.name}/{path.stem}", code_of(path)
            if seen.get(path.stem) == code and not arguments.all:
                nbformat.validate(nbformat.read(path, as_version=4))
                print(f"same    {name}: its code is that of the notebook above", flush=True)
                continue
            seen[path.stem] = code
            start = time.monotonic()
            try:
                count = execute(path, arguments.images)
                print(f"passed  {name}: {count} images, {time.monotonic() - start:.1f} s", flush=True)
            except (nbclient.exceptions.CellExecutionError, nbclient.exceptions.CellTimeoutError, AssertionError) as error:
                failed.append(name)
                print(f"FAILED  {name}: {error}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
