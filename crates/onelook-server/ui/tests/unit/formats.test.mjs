// The formats of other tools, and the archive.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";

import { coco, csv, yolo } from "../../formats.js";
import { crc32, distinct, zip } from "../../zip.js";

const entry = {
  source: 'a, "b".jpg',
  width: 200,
  height: 100,
  task: "detect",
  detections: [{ name: "bus", class: 5, confidence: 0.94, box: { x1: 20, y1: 10, x2: 120, y2: 60 } }],
  speed_ms: {},
};

test("the table has the columns of predict", () => {
  assert.equal(csv([entry]), 'source,class,name,confidence,x1,y1,x2,y2\n"a, ""b"".jpg",5,bus,0.94000,20.00,10.00,120.00,60.00\n');
});

test("YOLO labels are centre and size as fractions of the image", () => {
  assert.equal(yolo(entry), "5 0.350000 0.350000 0.500000 0.500000\n");
});

test("COCO has images, annotations with scores, and categories", () => {
  const found = JSON.parse(coco([entry], ["person"]));
  assert.deepEqual(found.images, [{ id: 1, file_name: entry.source, width: 200, height: 100 }]);
  assert.deepEqual(found.annotations, [{ id: 1, image_id: 1, category_id: 5, bbox: [20, 10, 100, 50], area: 5000, iscrowd: 0, score: 0.94 }]);
  assert.deepEqual(found.categories, [{ id: 0, name: "person" }, { id: 5, name: "bus" }]);
});

test("the checksum is that of the ZIP format", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

test("another program reads the archive", async () => {
  const files = [{ name: "图片/a.txt", bytes: new TextEncoder().encode("one") }, { name: "b.txt", bytes: new Uint8Array(0) }];
  const path = `${mkdtempSync(`${tmpdir()}/onelook-`)}/files.zip`;
  writeFileSync(path, Buffer.from(await zip(files).arrayBuffer()));
  const script = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print([(i.filename, z.read(i).decode()) for i in z.infolist()])";
  assert.equal(execFileSync("python3", ["-c", script, path], { encoding: "utf8" }).trim(), "[('图片/a.txt', 'one'), ('b.txt', '')]");
  assert.ok(readFileSync(path).length > 0);
});

test("files of the same name get numbers", () => {
  assert.deepEqual(distinct(["a.txt", "b.txt", "A.txt", "a.txt"]), ["a.txt", "b.txt", "A-2.txt", "a-3.txt"]);
});
