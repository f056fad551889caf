"""How an answer of ours may differ from the real Triton's: each difference by name, with its reason.

`key_differences` lists keys that only one side has; `explanation` gives the reason, or None, which makes
the comparison fail. Nothing is explained by a pattern wider than the reason covers.
"""

import re

# What Triton writes for a field nobody set: its absence says the same.
DEFAULTS = ("", 0, "0", False, [], {}, None, "FORMAT_NONE", "PRIORITY_DEFAULT")

OWN_STATUS = "the request is wrong, so it is refused as such (4xx), where Triton reports its own failure (500)"
NO_SHARED_MEMORY = "shared memory is not offered and not advertised"
FEWER_EXTENSIONS = "only what exists is advertised"
PYTRITON_INDEX = "pytriton registers its model without a repository, so its index is empty"

# (pattern of the call, pattern of the path of the difference) -> reason
EXPLAINED = [
    (r"raw infer with (broken JSON|a JSON list|no inputs|an empty list of inputs|too few numbers|words for numbers|no shape)", "status", OWN_STATUS),
    (r"raw infer with a (negative size|size beyond 64 bits)", "status", OWN_STATUS),
    (r"(http|grpc) load an unknown model", "status", "an unknown name is the caller's mistake; Triton says 500/INTERNAL"),
    (r"raw GET /v2/systemsharedmemory/status", ".*", NO_SHARED_MEMORY),
    (r"(http|grpc) repository index", ".*", PYTRITON_INDEX),
    (r"raw GET /v2/health/(live|ready)", "keys|content|bytes", "the protocol's body, which KServe's client reads; Triton sends none"),
    (r"raw GET /v2/models", ".*", "a list of the models, which Triton does not have"),
    (r"grpc statistics of an unknown model", "status", "NOT_FOUND, as every other call says of an unknown model"),
    (r"raw (GET|POST|DELETE|infer) .*", "content", "an error body of ours is JSON and says so; Triton labels some text/plain"),
    (r"(http|grpc) model (version )?config", r".*parameters\.workspace-path.*", "pytriton's own parameter"),
    (r"(http|grpc) model (version )?config", r".*parameters\.metadata.*", "what Ultralytics' client reads: names, stride, task"),
    (r"(http|grpc) model (version )?config", r".*optimization.*", "settings of Triton's memory pools, which do not exist here"),
    (r"(http|grpc) model (version )?config", r".*(dynamic_batching|instance_group).*", "our batcher and workers have fewer settings"),
    (r"(http|grpc) model (version )?config", r".*default_model_filename", "Triton's backend file; models here are any file"),
    (r"(http|grpc) model (version )?config", r".*platform", "Triton leaves it empty for its Python backend"),
]  # fmt: skip


def status_class(name, kept):
    """The class of an outcome: ok, 4xx, 5xx, or the gRPC code."""
    status = kept["value"]["status"] if name.startswith("raw") and kept["status"] == "ok" else kept["status"]
    if str(status).isdigit():
        return "ok" if int(status) < 400 else f"{int(status) // 100}xx"
    return str(status)


def key_differences(got, wanted, path=""):
    """[(path, what)] for keys, kinds of values and list lengths that differ; values are compared elsewhere."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        found = []
        for key in sorted(got.keys() | wanted.keys()):
            here = f"{path}.{key}".lstrip(".")
            if key not in got:
                if wanted[key] not in DEFAULTS and not only_defaults(wanted[key]):
                    found.append((here, f"missing, Triton has {str(wanted[key])[:80]}"))
            elif key not in wanted:
                if got[key] not in DEFAULTS and not only_defaults(got[key]):
                    found.append((here, f"ours alone: {str(got[key])[:80]}"))
            else:
                found += key_differences(got[key], wanted[key], here)
        return found
    if isinstance(got, list) and isinstance(wanted, list):
        if not path.endswith("extensions") and bool(got) != bool(wanted):
            return [(path, f"{len(got)} entries where Triton has {len(wanted)}")]
        return [each for pair in zip(got, wanted) for each in key_differences(*pair, f"{path}[]")]
    if type(got) is not type(wanted) and not (isinstance(got, (int, float)) and isinstance(wanted, (int, float))):
        return [(path, f"{type(got).__name__} where Triton has {type(wanted).__name__}")]
    if path in ("content", "bytes", "keys") and got != wanted:
        return [(path, f"{got!r} where Triton has {wanted!r}")]
    return []


def only_defaults(value):
    if isinstance(value, dict):
        return all(only_defaults(each) for each in value.values())
    return value in DEFAULTS


def explanation(name, path, difference):
    for call, where, reason in EXPLAINED:
        if re.fullmatch(call, name) and re.fullmatch(where, path):
            return reason
    return None
