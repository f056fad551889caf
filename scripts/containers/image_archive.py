"""Image archives (`docker save`): read their files, and write them again so that equal contents have equal digests.

    python3 scripts/containers/image_archive.py IN.tar OUT.tar [--epoch SECONDS]
    docker load --input OUT.tar

A build puts its own time into the image's configuration and into the dates of files that it makes, so two builds of the
same contents differ. `rewrite` moves every date that is later to the epoch (SOURCE_DATE_EPOCH, or 0) and leaves out what
names the build itself; BuildKit does this from 0.13 on (`rewrite-timestamp`), Docker 20.10 does not. Names, contents,
owners, modes, links and extended attributes stay as they are. OUT is an OCI layout that `docker load` reads too.

An image with Python packages must be built with SOURCE_DATE_EPOCH set where pip runs: compiled modules then name the hash
of their source, else its date, and those whose date was moved are compiled again at each start.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tarfile
import tempfile
import time

# Configuration that names one build and says nothing about what runs.
OF_ONE_BUILD = (
    "container",
    "container_config",
    "docker_version",
    "moby.buildkit.buildinfo.v1",
    "moby.buildkit.cache.v0",
)
OPAQUE = ".wh..wh..opq"
REMOVED = ".wh."


def epoch_of_environment():
    """Seconds since 1970 by SOURCE_DATE_EPOCH; 0 without it."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not text.isascii() or not text.isdigit():
        raise SystemExit(
            f"SOURCE_DATE_EPOCH={text!r}: expected seconds since 1970, such as `git log -1 --format=%ct` gives"
        )
    return int(text)


def manifest(archive):
    """Configuration and the names of the layers of the archive's one image."""
    images = json.load(archive.extractfile("manifest.json"))
    if len(images) != 1:
        raise ValueError(f"the archive has {len(images)} images: save one alone")
    return json.load(archive.extractfile(images[0]["Config"])), images[0]["Layers"], images[0].get("RepoTags") or []


def files(path, wanted):
    """Contents by name of the image's files for which `wanted(name)` holds, as the last layer leaves them."""
    found = {}
    with tarfile.open(path) as archive:
        for name in manifest(archive)[1]:
            added = {}
            with tarfile.open(fileobj=archive.extractfile(name), mode="r|*") as layer:
                for entry in layer:
                    entry_name = entry.name.removeprefix("./").strip("/")
                    folder, _, base = entry_name.rpartition("/")
                    if base == OPAQUE:
                        remove(found, folder, keep_itself=True)
                    elif base.startswith(REMOVED):
                        remove(found, f"{folder}/{base.removeprefix(REMOVED)}".strip("/"))
                    elif not entry.isdir():
                        # A link or a file that is not wanted must not leave the older file in sight.
                        found.pop(entry_name, None)
                        if entry.isfile() and wanted(entry_name):
                            added[entry_name] = layer.extractfile(entry).read()
            found.update(added)
    return found


def remove(found, name, keep_itself=False):
    """Takes a file, or everything below a folder, out of what lower layers have."""
    below = f"{name}/" if name else ""
    for it in [it for it in found if it.startswith(below) or (it == name and not keep_itself)]:
        del found[it]


def rewrite(source, target, epoch):
    """Writes the image of an archive again, with no date after the epoch; gives the digest of its manifest."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    with (
        tarfile.open(source) as archive,
        tempfile.TemporaryDirectory(dir=pathlib.Path(target).resolve().parent) as folder,
    ):
        config, layers, tags = manifest(archive)
        blobs = Blobs(pathlib.Path(folder), epoch)
        written = [blobs.layer(archive.extractfile(name)) for name in layers]
        for field in OF_ONE_BUILD:
            config.pop(field, None)
        config["created"] = date
        for step in config.get("history", []):
            step["created"] = date
        config["rootfs"]["diff_ids"] = [layer["digest"] for layer in written]
        described = blobs.value("application/vnd.oci.image.config.v1+json", config)
        image = {"schemaVersion": 2, "config": described, "layers": written}
        image = blobs.value("application/vnd.oci.image.manifest.v1+json", image)
        names = [
            {**image, "annotations": {"org.opencontainers.image.ref.name": tag.rpartition(":")[2]}} for tag in tags
        ]
        legacy = {"Config": place(described), "RepoTags": tags, "Layers": [place(layer) for layer in written]}
        with whole_file(target) as out, tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
            blobs.add(archive, "oci-layout", encoded({"imageLayoutVersion": "1.0.0"}))
            blobs.add(archive, "index.json", encoded({"schemaVersion": 2, "manifests": names or [image]}))
            blobs.add(archive, "manifest.json", encoded([legacy]))
            for path in sorted(blobs.folder.iterdir()):
                with open(path, "rb") as contents:
                    blobs.add(archive, f"blobs/sha256/{path.name}", contents)
    return image["digest"]


class Blobs:
    """Files named by their hash, in a folder."""

    def __init__(self, place, epoch):
        self.place = place
        self.folder = place / "blobs"
        self.folder.mkdir()
        self.epoch = epoch

    def value(self, media_type, value):
        data = encoded(value)
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def layer(self, source):
        """A layer with no date after the epoch. Entries keep their order: hard links follow what they name."""
        with tempfile.NamedTemporaryFile(dir=self.place, delete=False) as out:
            path = pathlib.Path(out.name)
            hashed = Hashed(out)
            with (
                tarfile.open(fileobj=source, mode="r|*") as old,
                tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT) as new,
            ):
                for entry in old:
                    entry.mtime = min(int(entry.mtime), self.epoch)
                    entry.uname = entry.gname = ""
                    # Of the extensions only extended attributes are contents; long names are written anew.
                    entry.pax_headers = {
                        key: value
                        for key, value in sorted(entry.pax_headers.items())
                        if key.startswith("SCHILY.xattr.")
                    }
                    new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
        digest = hashed.sha256.hexdigest()
        shutil.move(path, self.folder / digest)
        return {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": f"sha256:{digest}",
            "size": hashed.size,
        }

    def add(self, archive, name, contents):
        entry = tarfile.TarInfo(name)
        entry.mtime = self.epoch
        if isinstance(contents, bytes):
            entry.size = len(contents)
            with tempfile.SpooledTemporaryFile() as file:
                file.write(contents)
                file.seek(0)
                archive.addfile(entry, file)
        else:
            entry.size = os.fstat(contents.fileno()).st_size
            archive.addfile(entry, contents)


class Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file):
        self.file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data):
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)


def encoded(value):
    """JSON, always the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def place(described):
    """Where a described blob lies in the archive."""
    return "blobs/" + described["digest"].replace(":", "/")


@contextlib.contextmanager
def whole_file(target):
    """A path beside the target, which becomes the target when the block ends well."""
    beside = pathlib.Path(f"{target}.part")
    try:
        yield beside
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=pathlib.Path, metavar="IN.tar", help="what `docker save` wrote of one image")
    parser.add_argument("target", type=pathlib.Path, metavar="OUT.tar")
    parser.add_argument(
        "--epoch", type=int, default=epoch_of_environment(), help="latest date [default: $SOURCE_DATE_EPOCH, or 0]"
    )
    args = parser.parse_args()
    try:
        print(rewrite(args.source, args.target, args.epoch))
    except (KeyError, ValueError, OSError, tarfile.TarError) as error:
        raise SystemExit(f"{args.source}: {error}") from None


if __name__ == "__main__":
    main()
