#!/usr/bin/env python3
"""Checks the installer against releases that are good, corrupt and missing, and with --dist the packages themselves.

    python3 scripts/package/check.py                      # the installer, with a release made up here
    cargo xtask package && python3 scripts/package/check.py --dist target/dist

The made-up release has a shell script in the place of the binary. Each installation goes to a folder of its own, from a
web server on the loopback interface. Prints a line per check; ends with 1 where one fails. shellcheck and lintian are
used where they are installed, and named where they are not.
"""

import argparse
import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALLER = ROOT / "scripts/package/install.sh"
NAME = "onelook-9.9.9-x86_64-unknown-linux-gnu"
FILES = {
    "bin/onelook": "#!/bin/sh\necho onelook 9.9.9\n",
    "share/man/man1/onelook.1": ".TH onelook 1\n",
    "share/bash-completion/completions/onelook": "# completions\n",
    "README.md": "not installed\n",
}
failures = []


def check(what, holds, more=""):
    print(f"{'passed' if holds else 'FAILED':8}{what}{f': {more}' if more and not holds else ''}", flush=True)
    if not holds:
        failures.append(what)


class Release:
    """A folder with a tarball and its sum, served on the loopback interface."""

    def __init__(self, folder, files=None, name=NAME):
        self.folder, self.tarball = folder, folder / f"{name}.tar.gz"
        tree = folder / "tree" / name
        for path, text in (FILES if files is None else files).items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        if (tree / "bin/onelook").exists():
            (tree / "bin/onelook").chmod(0o755)
        with tarfile.open(self.tarball, "w:gz") as archive:
            archive.add(tree, name)
        self.write_sums(hashlib.sha256(self.tarball.read_bytes()).hexdigest())

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        handler = functools.partial(Handler, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def write_sums(self, digest):
        (self.folder / "SHA256SUMS").write_text(f"{'0' * 64}  install.sh\n{digest}  {self.tarball.name}\n")


def install(home, *words, release=None, path=None, shell="sh"):
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(home), "NO_PROXY": "*"}
    if release is not None:
        environment["ONELOOK_RELEASE"] = release
    home.mkdir(exist_ok=True)
    command = [shell, str(INSTALLER), *words]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def refused(what, done, home, says):
    """It ends with 1, says why in one line, and has written nothing."""
    polite = done.returncode == 1 and re.search(says, done.stderr) and "Traceback" not in done.stderr
    check(f"{what} is refused", bool(polite), f"{done.returncode}: {done.stderr}")
    check(f"{what} leaves nothing behind", files_below(home) == [], files_below(home))


def check_installer(work):
    installed = ["bin/onelook", "share/bash-completion/completions/onelook", "share/man/man1/onelook.1"]
    wanted = sorted([*installed, "share/onelook/installed-files"])
    good = Release(work / "good")
    shells = [shell for shell in ["sh", "dash", "bash"] if shutil.which(shell)]
    for shell in shells:
        home = work / f"home-{shell}"
        done = install(home, release=good.address, shell=shell)
        check(f"{shell} installs a good release", done.returncode == 0, done.stderr)
        check(f"{shell} installs what it should", files_below(home / ".local") == wanted, files_below(home))
        ran = subprocess.run([home / ".local/bin/onelook"], capture_output=True, text=True)
        check(f"{shell}: what was installed runs", ran.stdout == "onelook 9.9.9\n", ran.stderr)
        own = home / ".local/bin/mine"
        own.write_text("mine")
        again = install(home, release=good.address + "/", shell=shell)
        check(f"{shell} installs again over itself", again.returncode == 0, again.stderr)
        gone = install(home, "--uninstall", shell=shell)
        check(f"{shell} uninstalls", gone.returncode == 0 and files_below(home) == [".local/bin/mine"], files_below(home))
        twice = install(home, "--uninstall", shell=shell)
        check(f"{shell} says that nothing is installed", twice.returncode == 1 and "nothing was installed" in twice.stderr)
    for tool in ["curl", "wget"]:
        if shutil.which(tool) is None:
            print(f"SKIPPED {tool} is not installed")
            continue
        folder = work / f"only-{tool}"
        folder.mkdir()
        for name in ["sh", "tar", "gzip", "sha256sum", "sed", "grep", "find", "sort", "uname", "mktemp", "mkdir", "cp", "mv",
                     "rm", "rmdir", "dirname", tool, "ldd", "bash"]:  # fmt: skip
            if shutil.which(name):
                (folder / name).symlink_to(shutil.which(name))
        done = install(work / f"home-{tool}", release=good.address, path=str(folder))
        check(f"{tool} alone is enough", done.returncode == 0, done.stderr)
    elsewhere = install(work / "home-prefix", "--prefix", "some place", release=good.address)
    there = files_below(work / "home-prefix")
    check("a prefix with a space", elsewhere.returncode == 0 and "some place/bin/onelook" in there, elsewhere.stderr)

    old = Release(work / "old", {**FILES, "share/doc/old-file": "old\n"})
    home = work / "home-update"
    install(home, release=old.address)
    install(home, release=good.address)
    check("an update removes what the new version has no more", files_below(home / ".local") == wanted)

    corrupt = Release(work / "corrupt")
    corrupt.tarball.write_bytes(corrupt.tarball.read_bytes()[:-7])
    refused("a tarball that was cut short", install(work / "h1", release=corrupt.address), work / "h1", "not what SHA256SUMS")
    changed = Release(work / "changed")
    changed.write_sums("f" * 64)
    refused("another sum", install(work / "h2", release=changed.address), work / "h2", "not what SHA256SUMS")
    missing = Release(work / "missing")
    missing.tarball.unlink()
    refused("a missing tarball", install(work / "h3", release=missing.address), work / "h3", "cannot be fetched")
    refused("a missing release", install(work / "h4", release=f"{good.address}/no"), work / "h4", "check the address")
    refused("no address", install(work / "h5"), work / "h5", "set ONELOOK_RELEASE")
    foreign = Release(work / "foreign", name="onelook-9.9.9-aarch64-unknown-linux-gnu")
    refused("a release for others", install(work / "h6", release=foreign.address), work / "h6", "no tarball for")
    broken = Release(work / "broken", {**FILES, "bin/onelook": "#!/bin/sh\nexit 3\n"})
    refused("a binary that does not run", install(work / "h7", release=broken.address), work / "h7", "does not run here")
    for system, machine in [("Darwin", "arm64"), ("Linux", "riscv64")]:
        fake = work / f"uname-{machine}"
        fake.mkdir()
        (fake / "uname").write_text(f"#!/bin/sh\n[ \"$1\" = -s ] && echo {system} || echo {machine}\n")
        (fake / "uname").chmod(0o755)
        home = work / f"h-{machine}"
        done = install(home, release=good.address, path=f"{fake}:{os.environ['PATH']}")
        refused(f"{system} on {machine}", done, home, "build from source")
    refused("a word that means nothing", install(work / "h8", "--sudo", release=good.address), work / "h8", "unknown word")
    usage = install(work / "h9", "--help")
    check("--help explains", usage.returncode == 0 and "--uninstall" in usage.stdout, usage.stdout)


def tool(name, command):
    """Runs a checker where it is installed."""
    if shutil.which(name) is None:
        print(f"SKIPPED {name} is not installed")
        return
    done = subprocess.run([name, *map(str, command)], capture_output=True, text=True)
    said = f"{done.stdout}{done.stderr}".strip()
    print(said) if said else None
    check(f"{name} has nothing to say", done.returncode == 0)


def check_units():
    """systemd has nothing to say of the units, but that the program is not installed here."""
    units = sorted((ROOT / "scripts/systemd").iterdir())
    if shutil.which("systemd-analyze") is None:
        print("SKIPPED systemd-analyze is not installed")
        return
    done = subprocess.run(["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "Command /usr/bin/onelook is not executable" not in line]
    check("systemd understands the units", not said, "\n".join(said))


def check_packages(dist, work):
    sums = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=dist, capture_output=True, text=True)
    check("the sums are right", sums.returncode == 0, sums.stdout + sums.stderr)
    home = work / "home-dist"
    done = install(home, release=f"file://{dist}")
    check("the installer installs the real tarball", done.returncode == 0, done.stderr)
    print("        " + "\n        ".join(files_below(home / ".local")))
    version = subprocess.run([home / ".local/bin/onelook", "--version"], capture_output=True, text=True).stdout.strip()
    check("its binary runs", version.startswith("onelook "), version)
    package = next(dist.glob("onelook_*.deb"))
    fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True).stdout
    check("the package names the libraries that it needs", re.search(r"^Depends: libc6 \(>= ", fields, re.M), fields)
    tree = work / "tree"
    subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
    for path in [
        "usr/bin/onelook", "usr/share/man/man1/onelook.1.gz", "usr/share/bash-completion/completions/onelook",
        "usr/share/zsh/vendor-completions/_onelook", "usr/share/fish/vendor_completions.d/onelook.fish",
        "usr/lib/systemd/system/onelook-batch@.service", "usr/lib/systemd/system/onelook-serve.service",
        "usr/lib/sysusers.d/onelook.conf", "usr/share/doc/onelook/copyright",
        "usr/share/doc/onelook/LICENSES-OF-DEPENDENCIES.gz",
    ]:  # fmt: skip
        check(f"the package has {path}", (tree / path).is_file())
    ran = subprocess.run([tree / "usr/bin/onelook", "--version"], capture_output=True, text=True).stdout.strip()
    check("the package's binary runs", ran == version, ran)
    tool("lintian", ["--fail-on", "error", "--allow-root", package])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dist", type=Path, help="a folder that `cargo xtask package` wrote")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        check_installer(Path(temporary))
        if arguments.dist is not None:
            check_packages(arguments.dist.resolve(), Path(temporary))
    check_units()
    scripts = [INSTALLER, ROOT / "scripts/package/postinst", ROOT / "scripts/package/postrm"]
    tool("shellcheck", ["--shell=sh", *scripts])
    sys.exit(f"{len(failures)} FAILED: {'; '.join(failures)}" if failures else 0)


if __name__ == "__main__":
    main()
