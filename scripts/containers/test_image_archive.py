"""Tests of image archives, without a daemon: python3 -m unittest discover scripts/containers"""

import io
import json
import pathlib
import tarfile
import tempfile
import unittest

import image_archive


def layer(*entries):
    """A layer of (name, type, contents or target, date)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, contents, date in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mtime, entry.mode, entry.uid = kind, date, 0o4755, 65532
            if kind == tarfile.REGTYPE:
                entry.size = len(contents)
                entry.pax_headers = {"SCHILY.xattr.user.kept": "value", "atime": str(date + 1)}
                archive.addfile(entry, io.BytesIO(contents))
            else:
                entry.linkname = contents
                archive.addfile(entry)
    return out.getvalue()


def file(name, contents=b"", date=5):
    return (name, tarfile.REGTYPE, contents, date)


def saved(folder, name, layers, created="2026-01-01T00:00:00Z"):
    """What `docker save` writes."""
    path = pathlib.Path(folder) / name
    config = {
        "created": created,
        "architecture": "amd64",
        "config": {"User": "65532"},
        "moby.buildkit.buildinfo.v1": created,
        "history": [{"created": created, "created_by": "COPY"}] * len(layers),
        "rootfs": {"type": "layers", "diff_ids": ["sha256:0"] * len(layers)},
    }
    names = [f"{index}/layer.tar" for index in range(len(layers))]
    listed = [{"Config": "config.json", "RepoTags": ["onelook:test"], "Layers": names}]
    parts = {"manifest.json": json.dumps(listed), "config.json": json.dumps(config)}
    with tarfile.open(path, "w") as archive:
        for part, contents in [*((it, text.encode()) for it, text in parts.items()), *zip(names, layers, strict=True)]:
            entry = tarfile.TarInfo(part)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
    return path


class Rewritten(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = pathlib.Path(self.folder.name)

    def rewritten(self, name, layers, created, epoch=100):
        target = self.place / f"{name}.out"
        digest = image_archive.rewrite(saved(self.place, name, layers, created), target, epoch)
        return digest, target

    def test_builds_at_different_times_have_one_digest_and_the_same_bytes(self):
        one, first = self.rewritten("one", [layer(file("a", b"x", 500))], "2026-01-01T00:00:00Z")
        other, second = self.rewritten("two", [layer(file("a", b"x", 900))], "2026-02-02T00:00:00Z")
        self.assertEqual(one, other)
        self.assertEqual(first.read_bytes(), second.read_bytes())

    def test_other_contents_have_another_digest(self):
        digests = {
            self.rewritten(str(number), [layer(entry)], "2026-01-01T00:00:00Z")[0]
            for number, entry in enumerate([file("a", b"x"), file("a", b"y"), file("b", b"x"), file("a", b"x", 6)])
        }
        self.assertEqual(len(digests), 4)

    def test_only_dates_after_the_epoch_change(self):
        entries = [file("old", b"1", 50), file("new", b"2", 500), ("link", tarfile.SYMTYPE, "old", 500)]
        entries += [("hard", tarfile.LNKTYPE, "old", 500), file("n" * 300, b"long", 500)]
        _, target = self.rewritten("dates", [layer(*entries)], "2026-01-01T00:00:00Z")
        with tarfile.open(target) as archive:
            config, layers, tags = image_archive.manifest(archive)
            with tarfile.open(fileobj=archive.extractfile(layers[0])) as inner:
                members = inner.getmembers()
        self.assertEqual([it.mtime for it in members], [50, 100, 100, 100, 100])
        self.assertEqual([it.name for it in members], ["old", "new", "link", "hard", "n" * 300])
        self.assertEqual([it.linkname for it in members[2:4]], ["old", "old"])
        self.assertEqual({(it.mode, it.uid) for it in members}, {(0o4755, 65532)})
        self.assertEqual(members[0].pax_headers, {"SCHILY.xattr.user.kept": "value"})
        self.assertEqual(config["created"], "1970-01-01T00:01:40Z")
        self.assertEqual(config["config"], {"User": "65532"})
        self.assertNotIn("moby.buildkit.buildinfo.v1", config)
        self.assertEqual(config["rootfs"]["diff_ids"], ["sha256:" + layers[0].rpartition("/")[2]])
        self.assertEqual(tags, ["onelook:test"])

    def test_what_was_rewritten_can_be_rewritten(self):
        digest, target = self.rewritten("again", [layer(file("a", b"x", 500))], "2026-01-01T00:00:00Z")
        self.assertEqual(image_archive.rewrite(target, self.place / "again.twice", 100), digest)

    def test_an_archive_that_is_damaged_leaves_nothing_behind(self):
        whole = layer(file("a", b"x" * 20000))
        short = saved(self.place, "short", [whole])
        short.write_bytes(short.read_bytes()[:-20000])
        for path in [short, saved(self.place, "layer", [whole, whole[:9000]])]:
            with self.subTest(path=path.name):
                with self.assertRaises((tarfile.TarError, OSError)):
                    image_archive.rewrite(path, self.place / "out", 0)
                self.assertLessEqual({it.name for it in self.place.iterdir()}, {"short", "layer"})

    def test_an_archive_of_two_images_is_refused(self):
        path = self.place / "two"
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo("manifest.json")
            entry.size = 8
            archive.addfile(entry, io.BytesIO(b"[{}, {}]"))
        with self.assertRaisesRegex(ValueError, "2 images"):
            image_archive.rewrite(path, self.place / "out", 0)


class Files(unittest.TestCase):
    def contents(self, *layers):
        with tempfile.TemporaryDirectory() as folder:
            return image_archive.files(saved(folder, "image", list(layers)), lambda name: not name.startswith("not/"))

    def test_the_last_layer_says_what_a_file_is(self):
        base = layer(file("./a", b"1"), file("b/c", b"2"), file("b/d", b"3"), file("bb", b"4"), file("not/it", b"5"))
        self.assertEqual(self.contents(base), {"a": b"1", "b/c": b"2", "b/d": b"3", "bb": b"4"})
        for change, left in [
            (file("a", b"new"), {"a": b"new", "b/c": b"2", "b/d": b"3", "bb": b"4"}),
            (file(".wh.a"), {"b/c": b"2", "b/d": b"3", "bb": b"4"}),
            (file(".wh.b"), {"a": b"1", "bb": b"4"}),
            (file("b/.wh.c"), {"a": b"1", "b/d": b"3", "bb": b"4"}),
            (file("b/.wh..wh..opq"), {"a": b"1", "bb": b"4"}),
            (("a", tarfile.SYMTYPE, "bb", 0), {"b/c": b"2", "b/d": b"3", "bb": b"4"}),
        ]:
            with self.subTest(change=change):
                self.assertEqual(self.contents(base, layer(change)), left)

    def test_a_folder_that_is_replaced_keeps_what_its_layer_adds(self):
        base = layer(file("b/c", b"old"), file("b/d", b"old"))
        again = layer(file("b/c", b"new"), file("b/.wh..wh..opq"))
        self.assertEqual(self.contents(base, again), {"b/c": b"new"})


if __name__ == "__main__":
    unittest.main()
