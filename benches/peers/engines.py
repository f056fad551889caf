"""Which engines take part, in which precisions, and the process that each one is."""

import json
import os
import select
import subprocess
import tempfile
from dataclasses import dataclass, field

from environment import HERE

RUST = ("onelook", "rten", "tract")

# What holds a library to AVX2. The others have no such switch, and reports say so.
AVX2 = {
    "onelook": {"ONELOOK_ISA": "avx2"},
    "openvino": {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "OV_CPU_MAX_ISA": "AVX2"},
    "torch": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"},
}


@dataclass
class Candidate:
    """One engine in one precision."""

    worker: str
    precision: str
    form: str = "onnx"
    # Whether its boxes must be those of f32.
    exact: bool = True
    name: str = field(init=False)

    def __post_init__(self):
        self.name = f"{self.worker} {self.precision}"


CANDIDATES = [
    Candidate("onnxruntime", "f32"),
    Candidate("onelook", "f32"),
    Candidate("onelook", "f16", exact=False),
    Candidate("onelook", "int8", exact=False),
    Candidate("openvino", "f32"),
    Candidate("openvino", "default", exact=False),
    Candidate("openvino", "int8", "nncf", exact=False),
    Candidate("onnxruntime", "int8", "qdq", exact=False),
    Candidate("ncnn", "f32", "ncnn"),
    Candidate("ncnn", "f16", "ncnn", exact=False),
    Candidate("torch", "eager-f32"),
    Candidate("torch", "eager-bf16", exact=False),
    Candidate("torch", "compile-f32"),
    Candidate("torch", "compile-bf16", exact=False),
    Candidate("rten", "f32"),
    Candidate("tract", "f32"),
]


class LeftOut(Exception):
    """The engine does not take part; the message says why."""


class Worker:
    """A running engine that answers commands; see worker.py."""

    def __init__(self, candidate, programs, model, size, threads, batch, images, isa):
        self.candidate = candidate
        arguments = [model, size, threads, batch, candidate.precision, images]
        variables = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONDONTWRITEBYTECODE="1")
        if candidate.worker in RUST:
            command = [programs.rust, candidate.worker]
        elif candidate.worker == "torch":
            command = [programs.torch[0], HERE / "worker_torch.py"]
            variables.update(programs.torch[1])
        else:
            command = [programs.python, HERE / f"worker_{candidate.worker}.py"]
        if isa == "avx2":
            variables.update(AVX2.get(candidate.worker, {}))
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command + arguments], env=variables, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        try:
            description = json.loads(self.answer(300))
        except json.JSONDecodeError as error:
            self.stop()
            raise LeftOut(f"unexpected first line: {error}") from error
        self.engine, self.path = description["engine"], description["path"]

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise LeftOut((said[-1] if said else "") if ready else f"no answer within {seconds} s")
        return line

    def ask(self, command, seconds=600):
        """Milliseconds of one pass: on the clock, and of CPU time."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return [int(word) / 1e6 for word in self.answer(seconds).split()]

    def stop(self):
        self.process.kill()
        self.process.wait()
