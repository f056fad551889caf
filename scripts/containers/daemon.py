"""A Docker daemon for tests: the one that runs, or a private one that leaves nothing behind."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time


class Unavailable(Exception):
    """No daemon can be had here; the text says why."""


class Docker:
    """The client, talking to one daemon."""

    def __init__(self, host):
        # Debian's client can build with BuildKit; others may lack the plugin for it.
        self.program = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else shutil.which("docker")
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        if host:
            self.environment["DOCKER_HOST"] = host

    def run(self, *words, check=True, timeout=600, text=None):
        """Runs `docker WORDS`; gives its result, or raises with what it said."""
        done = subprocess.run(
            [self.program, *map(str, words)], env=self.environment, input=text, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(map(str, words))[:200]}: {(done.stderr or done.stdout)[-3000:]}")
        return done

    def answers(self):
        """Whether there is a daemon."""
        return self.program is not None and self.run("info", check=False, timeout=20).returncode == 0


@contextlib.contextmanager
def docker():
    """A client whose daemon runs until the end of the block."""
    client = Docker(None)
    if client.answers():
        yield client
        return
    for program, package in (("dockerd", "docker.io"), ("iptables", "iptables"), ("docker", "docker.io"), ("mmdebstrap", "mmdebstrap"), ("ssh", "openssh-client")):
        if not shutil.which(program):
            raise Unavailable(f"{program} is missing: apt-get install --no-install-recommends {package}")
    if os.geteuid():
        raise Unavailable("no daemon answers, and starting one needs root")
    place = pathlib.Path(tempfile.mkdtemp(prefix="onelook-docker-"))
    socket = f"unix://{place}/docker.sock"
    policy = forward_policy()
    words = ["--data-root", place / "data", "--exec-root", place / "exec", "-H", socket, "-p", place / "pid"]
    with open(place / "log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen(["dockerd", *map(str, words)], stdout=log, stderr=log, start_new_session=True)
    try:
        client = Docker(socket)
        end = time.monotonic() + 60
        while not client.answers():
            if daemon.poll() is not None or time.monotonic() > end:
                said = (place / "log").read_text(encoding="utf-8").strip().splitlines()
                raise Unavailable("dockerd does not start: " + (said[-1] if said else "it says nothing"))
            time.sleep(0.5)
        yield client
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        if policy:
            # The daemon has set it to DROP, which would cut other networks of this machine.
            subprocess.run(["iptables", "-P", "FORWARD", policy], check=False)
        subprocess.run(["ip", "link", "del", "docker0"], check=False, capture_output=True)
        shutil.rmtree(place, ignore_errors=True)


def forward_policy():
    """What the firewall does with forwarded packets."""
    listed = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=False).stdout
    lines = [line.split() for line in listed.splitlines() if line.startswith("-P FORWARD")]
    return lines[0][2] if lines else None
