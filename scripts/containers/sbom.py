"""What an image is made of, as SPDX 2.3: Debian packages, Python packages, and the crates inside the binary.

    docker save onelook:runtime --output image.tar
    python3 scripts/containers/sbom.py image.tar --features parquet --json onelook.spdx.json

Debian and Python packages are those whose records lie in the image. Crates are those that Cargo.lock and the features
link into the binary: what only builds or tests it is left out. The same image and lock file give the same bytes.
"""

import argparse
import email
import hashlib
import json
import pathlib
import re
import subprocess
import time
import tomllib
import urllib.parse

from image_archive import encoded, epoch_of_environment, files

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = "usr/bin/onelook"
DPKG = re.compile(r"var/lib/dpkg/(status|status\.d/[^/]+)")
PYTHON = re.compile(r".*/[^/]+\.dist-info/METADATA")
UNKNOWN = "NOASSERTION"
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def is_wanted(name):
    return name == BINARY or DPKG.fullmatch(name) is not None or PYTHON.fullmatch(name) is not None


def package(kind, name, version, url, **more):
    """A package of the document."""
    identity = re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}-{version}")
    return {
        "SPDXID": f"SPDXRef-{identity}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}],
        **more,
    }


def debian(contents):
    """Installed packages by their records: `status` of dpkg, or a file for each as images without dpkg have."""
    for name, data in contents.items():
        if not DPKG.fullmatch(name) or name.endswith(".md5sums"):
            continue
        for record in re.split(r"\n\n+", data.decode().strip()):
            fields = email.message_from_string(record)
            state = fields.get("Status", "install ok installed")
            if not fields.get("Package") or not state.endswith(" installed"):
                continue
            version, architecture = fields["Version"], fields["Architecture"]
            quoted = urllib.parse.quote(version, safe="")
            url = f"pkg:deb/debian/{fields['Package']}@{quoted}?arch={architecture}&distro=bookworm"
            yield package("deb", fields["Package"], version, url)


def python(contents):
    for name, data in contents.items():
        if PYTHON.fullmatch(name):
            fields = email.message_from_string(data.decode())
            # Names of packages are equal without their case and with any of these signs.
            normal = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
            url = f"pkg:pypi/{normal}@{urllib.parse.quote(fields['Version'], safe='')}"
            yield package("pypi", fields["Name"], fields["Version"], url)


def crates(features):
    """The crates that are linked into the binary, as Cargo resolves them."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--package", "onelook-cli", "--features", features, "--edges", "normal,no-proc-macro",
         "--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tree.returncode:
        raise SystemExit(f"cargo tree: {tree.stderr.strip()}")
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    locked = {(it["name"], it["version"]): it for it in lock["package"]}
    for line in sorted(set(filter(None, tree.stdout.splitlines()))):
        words, _, licence = line.partition("\t")
        name, version = words.split()[:2]
        version = version.removeprefix("v")
        known = locked[name, version]
        more = {"licenseDeclared": licence.replace("/", " OR ") or UNKNOWN}
        if known.get("source") == CRATES_IO:
            more["downloadLocation"] = f"https://static.crates.io/crates/{name}/{name}-{version}.crate"
            more["checksums"] = [{"algorithm": "SHA256", "checksumValue": known["checksum"]}]
        yield package("cargo", name, version, f"pkg:cargo/{name}@{urllib.parse.quote(version, safe='')}", **more)


def document(archive, features, epoch):
    """The whole document."""
    contents = files(archive, is_wanted)
    if BINARY not in contents and not any(PYTHON.fullmatch(name) for name in contents):
        raise SystemExit(f"{archive}: it has neither /{BINARY} nor Python packages: is it an image of onelook?")
    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
    image = package("image", "onelook-image", version, f"pkg:docker/onelook@{version}")
    linked = list(crates(features))
    installed = [*debian(contents), *python(contents)]
    if BINARY in contents:
        checksum = {"algorithm": "SHA256", "checksumValue": hashlib.sha256(contents[BINARY]).hexdigest()}
        image["checksums"] = [checksum]
        image["comment"] = f"The checksum is that of /{BINARY}."
    packages = {it["SPDXID"]: it for it in [image, *installed, *linked]}
    packages = [packages[key] for key in sorted(packages)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", image["SPDXID"])]
    relations += [(image["SPDXID"], "CONTAINS", it["SPDXID"]) for it in packages if it is not image]
    body = {
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"onelook-image-{version}",
        # Unique for what it lists, as the format asks.
        "documentNamespace": f"https://spdx.org/spdxdocs/onelook-image-{version}-{hashlib.sha256(encoded(body)).hexdigest()}",
        "creationInfo": {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "creators": ["Tool: onelook-sbom"],
        },
        **body,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=pathlib.Path, help="what `docker save` wrote of one image")
    parser.add_argument("--features", default="", help="features of onelook-cli that the binary was built with")
    parser.add_argument("--json", type=pathlib.Path, required=True)
    args = parser.parse_args()
    made = document(args.archive, args.features, epoch_of_environment())
    args.json.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    kinds = [it["externalRefs"][0]["referenceLocator"].split(":")[1].split("/")[0] for it in made["packages"]]
    print(", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))


if __name__ == "__main__":
    main()
