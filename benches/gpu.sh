#!/usr/bin/env bash
# Checks and measures a GPU in one call: what each network computes there and how long it takes, beside PyTorch where
# ONNX files are given. Nothing is built: the binary and the models are copied to the machine.
#
#   benches/gpu.sh ONELOOK OUT MODEL[=FILE.onnx]...
#   benches/gpu.sh target/release/onelook out yolo11n.pt=yolo11n.onnx yolo11x.yaml
#
# OUT gets a report and a log per model, then a summary; a step that fails or takes longer than STEP seconds (300) is a
# line of it, and the others go on. Ends in 1 if any did.
set -uo pipefail

[ $# -ge 3 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
onelook=$1 out=$2 here=$(dirname "$0") limit=${STEP:-300}
shift 2
mkdir -p "$out"
summary=$out/summary.txt
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee "$summary"
failed=0

# A step's name, its log, its command.
step() {
    local name=$1 log=$2 start=$SECONDS
    shift 2
    timeout "$limit" "$@" >"$log" 2>&1
    local status=$?
    [ $status -eq 0 ] || failed=1
    echo "$name: status $status, $((SECONDS - start)) s" | tee -a "$summary"
    [ $status -eq 0 ] || tail -n 3 "$log" | sed 's/^/    /' | tee -a "$summary"
}

for pair in "$@"; do
    model=${pair%%=*} onnx=
    [ "$pair" = "$model" ] || onnx=${pair#*=}
    name=$(basename "$model")
    step "gpu-check $name" "$out/$name.log" \
        "$onelook" gpu-check --device 0 model="$model" --report "$out/$name.json"
    grep -hE '^batch .*boxes|^  (plain graph|dependent launch) |images/s,' "$out/$name.log" | sed 's/^/    /' | tee -a "$summary"
    [ -n "$onnx" ] || continue
    step "PyTorch $name" "$out/$name-peers.log" \
        python3 "$here/gpu_peers.py" "$onnx" --check "$out/$name.json" --report "$out/$name-peers.json"
    grep -hE '^ *(batch|[0-9]+) ' "$out/$name-peers.log" | sed 's/^/    /' | tee -a "$summary"
done
exit $failed
