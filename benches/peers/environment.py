"""What peers.py needs and makes once under a cache folder: Python environments, models in every form, images.

The folder is the environment variable ONELOOK_PEERS_CACHE, else `${XDG_CACHE_HOME:-~/.cache}/onelook-peers`.
Nothing is installed in the repository or the system.
"""

import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = {"env": "about 1.5 GB", "torch": "about 6 GB, most of it CUDA's libraries, which PyPI's PyTorch requires"}


def cache():
    given = os.environ.get("ONELOOK_PEERS_CACHE")
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = pathlib.Path(given).expanduser() if given else base / "onelook-peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def say(text):
    print(text, file=sys.stderr, flush=True)


def call(command, **options):
    """Runs a command; its output goes to standard error, so that one sees how far it is."""
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, **options)


def install(name, requirements, make):
    """`make(folder)` fills the folder `name` of the cache, unless these requirements filled it before."""
    folder, digest = cache() / name, hashlib.sha256((HERE / requirements).read_bytes()).hexdigest()
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"installing {requirements} into {folder} ({SIZES.get(name, 'about 100 MB')})")
        make(folder)
        stamp.write_text(digest)
    return folder


def environment(name, requirements):
    """The interpreter of a virtual environment with these requirements."""

    def make(folder):
        call([sys.executable, "-m", "venv", "--clear", folder])
        call([folder / "bin" / "python", "-m", "pip", "install", "-r", HERE / requirements])

    return install(name, requirements, make) / "bin" / "python"


def torch_environment(existing):
    """An interpreter with torch and the exporter, and the variables it needs; `existing` stays untouched."""
    if not existing:
        return environment("torch", "requirements-torch.txt"), {}
    requirements = "requirements-torch-layer.txt"

    def make(folder):
        call([existing, "-m", "pip", "install", "--no-deps", "--upgrade", "--target", folder, "-r", HERE / requirements])

    return pathlib.Path(existing).expanduser(), {"PYTHONPATH": str(install("torch-layer", requirements, make))}


def rust_worker():
    """The program of rten, tract and onelook."""
    say("building the worker of the Rust engines")
    call(["cargo", "build", "--release", "--locked", "--manifest-path", HERE / "Cargo.toml"])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or HERE / "target")
    return target / "release" / "peers"


class Models:
    """One network with a fixed batch in the forms that engines read; each is made when it is first asked for."""

    def __init__(self, source, size, python, torch, calibration):
        self.source, self.size, self.python, self.calibration = source, size, python, calibration
        self.torch, self.variables = torch
        self.random = source.endswith(".yaml")
        self.name = pathlib.Path(source).stem

    def form(self, kind, batch):
        """The path that a worker gets for `kind`: onnx, nncf, qdq or ncnn."""
        folder = cache() / "models"
        folder.mkdir(exist_ok=True)
        # ncnn knows no batch.
        batch = 1 if kind == "ncnn" else batch
        stem = f"{self.name}{self.digest()}-{self.size}-b{batch}"
        onnx = folder / f"{stem}.onnx"
        if not onnx.exists():
            say(f"exporting {onnx.name}")
            call([self.torch, HERE / "export.py", self.source, batch, self.size, onnx],
                 env=dict(os.environ, **self.variables))
        if kind == "onnx":
            return onnx
        target = {"nncf": f"{stem}-nncf.xml", "qdq": f"{stem}-qdq.onnx", "ncnn": f"{stem}-ncnn"}[kind]
        target = folder / target
        proof = folder / f"{target.name}.bin" if kind == "ncnn" else target
        if not proof.exists():
            say(f"making {target.name}")
            call([self.python, HERE / "quantise.py", kind, onnx, self.size, self.calibration, target])
        return target

    def digest(self):
        """Part of the file's hash, so that another file of the same name is another model."""
        if self.random:
            return "-random"
        return "-" + hashlib.sha256(pathlib.Path(self.source).read_bytes()).hexdigest()[:8]
