"""The commands of a Markdown page, run as written.

In: the page and a word that a heading has to contain. Out: a check per command. A command that starts
`onelook serve` stays in the background until the last one has run; the others have to end with status 0. A block whose
info string says `skip="REASON"` is not run.
"""

import contextlib
import os
import re
import signal
import subprocess
import time

from process import request
from report import expect

WAIT_SECONDS = 60


def blocks(page, word):
    """The ```sh blocks below headings with `word`, up to the next heading of the same or a higher level.

    Each is its text and the reason why it cannot be run, if there is one.
    """
    found, inside, level, block, reason = [], False, 0, None, None
    for line in page.splitlines():
        heading = re.match(r"(#+)\s+(.*)", line) if block is None else None
        if heading:
            depth = len(heading[1])
            if word in heading[2].lower():
                inside, level = True, depth
            elif inside and depth <= level:
                inside = False
        elif block is not None:
            if line.startswith("```"):
                found.append(("\n".join(block), reason))
                block = None
            else:
                block.append(line)
        elif inside and (fence := re.match(r"```(sh|bash|console)(\s.*)?$", line)):
            skip = re.search(r'skip="([^"]+)"', fence[2] or "")
            block, reason = [], skip and skip[1]
    return found


def commands(block):
    """Commands of a block: continuation lines joined, comments and empty lines left out."""
    joined = re.sub(r"\\\n\s*", " ", block)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def run(report, found, folder, environment, python=None):
    servers = []
    try:
        for command, reason in ((line, reason) for block, reason in found for line in commands(block)):
            if reason:
                report.add(f"README: {command}", "skipped", f"it needs {reason}, which is not here")
            elif command.startswith("onelook serve"):
                report.check(f"README: {command}", lambda c=command: start(c, servers, folder, environment))
            elif re.search(r"\b(curl|onelook)\b", command):
                report.check(f"README: {command}", lambda c=command: succeed(c, folder, environment))
            else:
                report.add(f"README: {command}", "skipped", "neither curl nor onelook: not a line this check can run")
    finally:
        for server in servers:
            stop(server)


def start(command, servers, folder, environment):
    # A second server of the page takes the place of the first.
    while servers:
        stop(servers.pop())
    port = re.search(r"--port[ =](\d+)", command)
    url = f"http://127.0.0.1:{port[1] if port else 8000}/readyz"
    with contextlib.suppress(OSError):
        request(url, timeout=1)
        raise AssertionError(f"something already answers at {url}; end it first")
    log = open(folder / "serve.log", "ab")
    servers.append(
        subprocess.Popen(
            ["bash", "-c", command.rstrip("& ")],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    )
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        expect(servers[-1].poll() is None, f"ended: {(folder / 'serve.log').read_text()[-600:]}")
        with contextlib.suppress(OSError):
            if request(url, timeout=1)[0] == 200:
                return "ready"
        time.sleep(0.1)
    raise AssertionError(f"not ready after {WAIT_SECONDS} s")


def stop(server):
    with contextlib.suppress(OSError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def succeed(command, folder, environment):
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, timeout=120)
    expect(done.returncode == 0, f"exit {done.returncode}: {done.stderr[-400:].decode(errors='replace')}")
    said = done.stdout.decode(errors="replace")
    # curl ends with 0 on an error status: a problem document or {"error": ...} gives it away.
    expect('"status":4' not in said.replace(" ", "") and not said.startswith('{"error"'), f"answered {said[:400]}")
    saved = re.search(r"-o\s+(\S+)", command)
    if saved:
        kept = (folder / saved[1]).read_bytes()
        expect(kept and kept[:1] not in b"{<", f"{saved[1]} holds {kept[:200]!r}")
        return f"{saved[1]}: {len(kept)} bytes, {kept[:4].hex()}"
    return f"{len(done.stdout)} bytes: {' '.join(said[:100].split())}"
