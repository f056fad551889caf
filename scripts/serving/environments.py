"""The Python environments and tools of the outside checks, each made once under a cache folder.

    python3 environments.py             make all
    python3 environments.py triton perf make these and print their interpreters

Nothing is installed in the repository or the system. Python packages are pinned in requirements/*.txt;
tools that are not on the PATH are unpacked from Debian packages. The cache folder is the environment
variable ONELOOK_SERVING_CACHE, else `${XDG_CACHE_HOME:-~/.cache}/onelook-serving`.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements"
# Debian package of each tool, and the file inside it.
TOOLS = {
    "hey": ("hey", "usr/bin/hey"),
    "promtool": ("prometheus", "usr/bin/promtool"),
    "libb64": ("libb64-0d", "usr/lib/x86_64-linux-gnu"),
}
# The oracle's Python backend is linked against the interpreter it runs with; this one is known to work.
INTERPRETERS = {"oracle": "/usr/bin/python3"}


class Missing(Exception):
    """A tool or environment cannot be had here; the message says which and why."""


def cache():
    given = os.environ.get("ONELOOK_SERVING_CACHE")
    if given:
        return pathlib.Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "onelook-serving"


def run(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, command))} failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def python(name, requirements=REQUIREMENTS):
    """The interpreter of the environment that `requirements/NAME.txt` describes."""
    source = requirements / f"{name}.txt"
    folder = cache() / name
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    stamp = folder / "made-from"
    interpreter = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest:
        return interpreter
    base = INTERPRETERS.get(name, sys.executable)
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--quiet", "--clear", "--python", base, folder])
        run([uv, "pip", "install", "--quiet", "--python", interpreter, "-r", source])
    else:
        run([base, "-m", "venv", "--clear", folder])
        run([interpreter, "-m", "pip", "install", "--quiet", "-r", source])
    stamp.write_text(digest)
    return interpreter


def ultralytics_path(interpreter):
    """PYTHONPATH that adds tritonclient to an existing interpreter with ultralytics, which stays untouched."""
    source = REQUIREMENTS / "ultralytics-layer.txt"
    version = run([interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    digest = hashlib.sha256(source.read_bytes() + version.encode()).hexdigest()[:16]
    folder = cache() / f"ultralytics-layer-{digest}"
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        install_into(unfinished, interpreter, source)
        unfinished.rename(folder)
    return folder


def install_into(folder, interpreter, source):
    """Installs pinned packages without their dependencies into a folder, for a PYTHONPATH."""
    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", interpreter] if uv else [interpreter, "-m", "pip", "install"]
    run([*installer, "--quiet", "--no-deps", "--target", folder, "-r", source])


def tool(name):
    """Path of a tool: from the PATH, else unpacked from its Debian package."""
    found = shutil.which(name)
    if found:
        return pathlib.Path(found)
    package, inside = TOOLS[name]
    folder = cache() / "debian" / package
    path = folder / inside
    if path.exists():
        return path
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Missing(f"{name} is not on the PATH, and there is no apt-get to fetch Debian's package {package}")
    with tempfile.TemporaryDirectory() as work:
        run(["apt-get", "download", package], cwd=work)
        archive = next(pathlib.Path(work).glob("*.deb"))
        folder.mkdir(parents=True, exist_ok=True)
        run(["dpkg-deb", "-x", archive, folder])
    if not path.exists():
        raise Missing(f"Debian's package {package} has no {inside}")
    return path


def perf_analyzer():
    """perf_analyzer of the wheel tritonclient 2.49.0, and the environment it needs."""
    folder = python("perf").parent.parent
    binary = folder / "bin" / "perf_analyzer"
    runtime = next(folder.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib"), None)
    if not binary.exists() or runtime is None:
        raise Missing("the perf environment has no perf_analyzer or no CUDA runtime")
    binary.chmod(0o755)
    libraries = f"{runtime}:{tool('libb64')}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return binary, dict(os.environ, LD_LIBRARY_PATH=libraries)


def enter(name, requirements=REQUIREMENTS):
    """Goes on in the named environment: replaces this process unless it already runs there."""
    interpreter = python(name, requirements)
    if pathlib.Path(sys.prefix).resolve() != interpreter.parent.parent.resolve():
        os.execv(interpreter, [str(interpreter), *sys.argv])


def main():
    names = sorted(path.stem for path in REQUIREMENTS.glob("*.txt") if path.stem != "ultralytics-layer")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*names, []], help=f"which: {', '.join(names)}; all when none")
    failed = False
    for name in parser.parse_args().names or names:
        try:
            print(f"{name}: {python(name)}")
        except Missing as error:
            failed = True
            print(f"{name}: FAILED: {error}")
    for name in TOOLS:
        try:
            print(f"{name}: {tool(name)}")
        except Missing as error:
            failed = True
            print(f"{name}: FAILED: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
