"""A wheel of the Python package as it lies in its folder, with a binary: for trying images of a development build."""

import base64
import hashlib
import subprocess
import tempfile
import tomllib
import zipfile
from pathlib import Path


def development_wheel(package, binary, folder):
    """Writes the wheel into the folder; gives its path. The native module must have been built in place."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workspace = tomllib.loads((package.parents[1] / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]
    name, version = project["name"], project.get("version") or workspace["package"]["version"]
    tag = "cp310-abi3-linux_x86_64"
    files = {}
    for path in sorted((package / "python").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[str(path.relative_to(package / "python"))] = stripped(path)
    files[f"{name}-{version}.data/scripts/onelook"] = stripped(binary)
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: numpy\n".encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: onelook\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    lines = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    files[f"{info}/RECORD"] = ("".join(lines) + f"{info}/RECORD,,\n").encode()
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            # pip makes executable what the archive says is a file that is.
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return wheel


def stripped(path):
    """The file's bytes, without the debug information of a native module or program."""
    content = path.read_bytes()
    if not content.startswith(b"\x7fELF"):
        return content
    with tempfile.TemporaryDirectory() as folder:
        smaller = Path(folder) / path.name
        done = subprocess.run(["strip", "-o", smaller, path], check=False)
        return smaller.read_bytes() if done.returncode == 0 else content
