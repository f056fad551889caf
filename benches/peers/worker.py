"""The worker's side of the pipes that peers.py talks through.

Arguments of every worker: MODEL SIZE THREADS BATCH PRECISION IMAGES. IMAGES holds bytes, [image][3][SIZE][SIZE],
as red, green, blue planes. A worker loads the model and prints one line of JSON: `engine` (name and version),
`path` (the arithmetic that it says it uses). Then it answers each line on standard input with one line:

    run FIRST         one pass of BATCH images from number FIRST on; the nanoseconds of the pass alone, on the clock and
                      of CPU time (all threads, their waiting in loops included)
    save FIRST FILE   the same, and writes the first output to FILE as little-endian f32
"""

import json
import os
import sys
import time

import numpy as np


class Arguments:
    def __init__(self):
        self.model, size, threads, batch, self.precision, self.images = sys.argv[1:7]
        self.size, self.threads, self.batch = int(size), int(threads), int(batch)


def serve(load):
    """`load(arguments)` gives the worker's description and a function from an input to the first output."""
    # Libraries that print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    arguments = Arguments()
    bytes_of_all = np.memmap(arguments.images, np.uint8, "r").reshape(-1, 3, arguments.size, arguments.size)
    description, run = load(arguments)
    print(json.dumps(description), file=answers)
    last, batch = None, None
    for line in sys.stdin:
        command, first, *rest = line.split(maxsplit=2)
        if first != last:
            numbers = [(int(first) + offset) % len(bytes_of_all) for offset in range(arguments.batch)]
            last, batch = first, np.ascontiguousarray(bytes_of_all[numbers], np.float32) / np.float32(255)
        start, start_cpu = time.perf_counter_ns(), time.process_time_ns()
        output = run(batch)
        elapsed, cpu = time.perf_counter_ns() - start, time.process_time_ns() - start_cpu
        if command == "save":
            np.asarray(output, "<f4").tofile(rest[0].strip())
        print(elapsed, cpu, file=answers)
