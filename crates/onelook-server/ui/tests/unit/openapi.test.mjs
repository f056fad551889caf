// The reader of OpenAPI documents: references, types, command lines.

import assert from "node:assert/strict";
import { test } from "node:test";

import { byTag, curl, resolve, typeName } from "../../openapi.js";

const document = {
  tags: [{ name: "second", description: "About" }, { name: "unused" }],
  components: {
    parameters: { Name: { name: "name", in: "path", required: true, schema: { type: "string" } } },
    schemas: { A: { $ref: "#/components/schemas/B" }, B: { type: "object" }, Loop: { $ref: "#/components/schemas/Loop" } },
  },
  paths: {
    "/v1/models/{name}": {
      parameters: [{ $ref: "#/components/parameters/Name" }],
      get: { tags: ["second"], responses: { 200: { description: "ok" } } },
      delete: { responses: {} },
    },
    "/v1/detect": { post: { tags: ["second"], requestBody: { content: { "image/*": {}, "application/json": {} } }, responses: {} } },
  },
};

test("references are followed, circular and external ones are not", () => {
  assert.deepEqual(resolve(document, { $ref: "#/components/schemas/A" }), { type: "object" });
  assert.deepEqual(resolve(document, { $ref: "#/components/schemas/Loop" }), {});
  assert.deepEqual(resolve(document, { $ref: "#/constructor/prototype" }), {});
  assert.deepEqual(resolve(document, { $ref: "https://example.org/x" }), {});
});

test("operations are grouped by their first tag in the order of the tags", () => {
  const groups = byTag(document);
  assert.deepEqual(groups.map(({ tag, operations }) => [tag, operations.map(({ method, path }) => `${method} ${path}`)]), [
    ["second", ["GET /v1/models/{name}", "POST /v1/detect"]],
    ["", ["DELETE /v1/models/{name}"]],
  ]);
  assert.equal(groups[0]?.operations[0]?.parameters[0]?.name, "name");
});

test("types in a few words", () => {
  const table = [
    [{ type: "string" }, "string"],
    [{ type: ["string", "null"] }, "string | null"],
    [{ type: "array", items: { $ref: "#/components/schemas/Box" } }, "array of Box"],
    [{ type: "number", minimum: 0, maximum: 1 }, "number, 0 to 1"],
    [{ type: "integer", format: "int32", minimum: 1 }, "integer (int32), from 1"],
    [{ enum: ["ready", "failed"] }, '"ready" | "failed"'],
    [{ oneOf: [{ type: "null" }, { $ref: "#/x/Y" }] }, "null | Y"],
    [{}, "any"],
    [undefined, "any"],
    [true, "any"],
  ];
  for (const [schema, expected] of table) assert.equal(typeName(schema), expected);
});

test("a command line for each kind of operation", () => {
  const [group, other] = byTag(document);
  const [get, post] = group?.operations ?? [];
  assert.equal(curl(get, "http://h", false), 'curl \\\n  "http://h/v1/models/NAME"');
  assert.match(curl(post, "http://h", true), /Bearer \$TOKEN" \\\n {2}-H "Content-Type: image\/jpeg" \\\n {2}--data-binary @image.jpg/);
  assert.match(curl(other?.operations[0], "http://h", false), /^curl \\\n {2}-X DELETE/);
});
