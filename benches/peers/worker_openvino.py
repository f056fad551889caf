"""OpenVINO: latency mode, one stream; precision f32, default (what it picks by itself) or int8 (by NNCF)."""

import openvino

from worker import serve


def load(arguments):
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(arguments.threads),
    }
    if arguments.precision == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(core.read_model(arguments.model), "CPU", settings)
    request = compiled.create_infer_request()
    output = compiled.output(0)
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    path = f"int8, rest {hint}" if arguments.precision == "int8" else hint
    description = {"engine": f"OpenVINO {openvino.__version__.split('-')[0]}", "path": path}
    return description, lambda batch: request.infer([batch], share_inputs=True, share_outputs=True)[output]


serve(load)
