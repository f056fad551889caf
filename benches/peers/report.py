"""What was measured, as JSON, as a table and as a plot."""

import json
import os
import pathlib
import platform
import subprocess

from environment import ROOT


def processor():
    names = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith(("model name", "cpu family", "model\t"))][:3]
    family, model, name = (names + ["?"] * 3)[:3]
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    has = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile") if f" {f}" in flags]
    return f"{name} (family {family}, model {model}), {os.cpu_count()} cores, {' '.join(has)}"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def ceiling(options, setting):
    """What `onelook bench` says of the setting: instructions and ceiling; nothing without a binary that says it."""
    if not options.onelook:
        return None
    model = next(source for source in options.models if pathlib.Path(source).stem == setting["model"])
    variables = dict(os.environ, **({"ONELOOK_ISA": options.isa} if options.isa else {}))
    done = subprocess.run([options.onelook, "bench", "--model", model, "--imgsz", str(options.size), "--threads",
                           str(setting["threads"]), "--batch", str(setting["batch"]), "--json", "--device", "cpu"],
                          capture_output=True, text=True, env=variables)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip()[-300:]}


def result(options, settings, maps):
    return {
        "what": "one forward pass, milliseconds; the engines take turns",
        "processor": processor(),
        "system": platform.platform(),
        "commit": commit(),
        "size": options.size,
        "isa": options.isa or "each engine's best",
        "settings": settings,
        "map50_95_and_map50": maps,
    }


def kind(row):
    """Which column of ratios a row belongs to."""
    if row["precision"] == "int8":
        return "int8"
    return "f32" if row["exact"] else "half"


def busy(setting):
    """Whether others' work left too little of the machine for the clock's times to mean something."""
    return setting["load_before"] + setting["threads"] > os.cpu_count() + 0.5


def shown_measure(setting):
    """What tables are sorted by and plots show."""
    return "cpu_ms" if busy(setting) and setting["threads"] == 1 else "best_ms"


def ratios(setting, measure):
    """By one measure, onelook's fastest and the fastest peer of each kind."""
    best = {}
    for row in setting["rows"]:
        side = "onelook" if row["engine"].startswith("onelook") else "peer"
        known = best.setdefault((kind(row), side), row)
        if row[measure] < known[measure]:
            best[kind(row), side] = row
    for what in ("f32", "half", "int8"):
        ours, theirs = best.get((what, "onelook")), best.get((what, "peer"))
        if theirs:
            yield what, ours, theirs


def text(measured):
    lines = [f"{measured['processor']}; commit {measured['commit']}; {measured['size']} x {measured['size']}; "
             f"instructions: {measured['isa']}.", ""]
    if measured["isa"] == "avx2":
        lines += ["ONNX Runtime, ncnn, rten and tract cannot be held to it and use what the processor has.", ""]
    for setting in measured["settings"]:
        maps = measured["map50_95_and_map50"].get(setting["model"], {})
        weights = ", random weights" if setting["random_weights"] else ""
        lines += [f"### {setting['model']}, batch {setting['batch']}, threads {setting['threads']}{weights}", ""]
        if busy(setting):
            lines += [f"**Others were at work (load {setting['load_before']:.1f} before it began): the clock's times are not to be believed.** "
                      "CPU times of one thread are; those of more hold the threads' waiting for each other.", ""]
        lines += ["| engine | precision | best ms | median ms | least CPU ms | mAP50-95 | boxes differ by px / score |",
                  "|---|---|---|---|---|---|---|"]
        for row in sorted(setting["rows"], key=lambda row: row[shown_measure(setting)]):
            precision = row["precision"] if row["path"] == row["precision"] else f"{row['precision']} ({row['path']})"
            accuracy = f"{maps[row['name']][0]:.2f}" if row["name"] in maps else ""
            apart = row["difference"]
            lines.append(f"| {row['engine']} | {precision} | {row['best_ms']:.1f} | {row['median_ms']:.1f} | {row['cpu_ms']:.1f} | {accuracy} | "
                         f"{apart['pixels']:.3f} / {apart['score']:.4f} |")
        lines.append("")
        # CPU time of several threads holds their waiting for each other.
        measures = {"best_ms": "best", "median_ms": "median"} | ({"cpu_ms": "CPU time"} if setting["threads"] == 1 else {})
        for measure, words in measures.items():
            for what, ours, theirs in ratios(setting, measure):
                if ours:
                    compared = f"onelook is {theirs[measure] / ours[measure]:.2f} times as fast as {theirs['name']}"
                else:
                    compared = f"onelook has none here; the fastest is {theirs['name']}, {theirs[measure]:.1f} ms"
                lines.append(f"- {what}, {words}: {compared}")
        bench = setting.get("onelook_bench") or {}
        if bench.get("ceiling_gflops"):
            lines.append(f"- onelook bench: {bench['kernel_path']}, {bench['gflops']:.0f} of {bench['ceiling_gflops']:.0f} "
                         f"GFLOP/s, {100 * bench['gflops'] / bench['ceiling_gflops']:.0f} % of the ceiling (median of the runs)")
        lines += [f"- left out: {name}: {reason}" for name, reason in setting["left_out"].items()]
        lines.append("")
    return "\n".join(lines)


def plot(measured, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings = measured["settings"]
    figure, all_axes = pyplot.subplots(len(settings), 2, figsize=(13, 4.6 * len(settings)), squeeze=False,
                                       width_ratios=[3, 2])
    colours = {"f32": "#4878a8", "half": "#d08030", "int8": "#509850"}
    for setting, (bars, points) in zip(settings, all_axes):
        measure = shown_measure(setting)
        label = {"cpu_ms": "least CPU ms a pass", "best_ms": "best ms a pass"}[measure]
        if busy(setting) and measure == "best_ms":
            label += " (busy machine, not to be believed)"
        rows = sorted(setting["rows"], key=lambda row: -row[measure])
        maps = measured["map50_95_and_map50"].get(setting["model"], {})
        title = f"{setting['model']}, batch {setting['batch']}, threads {setting['threads']}"
        names = [f"{row['engine']} {row['precision']}" for row in rows]
        drawn = bars.barh(names, [row[measure] for row in rows], color=[colours[kind(row)] for row in rows])
        bars.bar_label(drawn, fmt="%.1f", padding=3, fontsize=8)
        bars.set(title=title, xlabel=label)
        bars.tick_params(axis="y", labelsize=8)
        for tick, row in zip(bars.get_yticklabels(), rows):
            if row["engine"].startswith("onelook"):
                tick.set_fontweight("bold")
        shown = [row for row in rows if row["name"] in maps]
        if not shown:
            points.set_axis_off()
            continue
        for row in shown:
            accuracy = maps[row["name"]][0]
            points.scatter(row[measure], accuracy, color=colours[kind(row)])
            points.annotate(row["name"], (row[measure], accuracy), fontsize=7, xytext=(3, 3), textcoords="offset points")
        points.set(title="time and accuracy", xlabel=label, ylabel="mAP50-95", xscale="log")
    figure.suptitle(f"{measured['processor'].split(',')[0]}, {measured['size']} pixels, commit {measured['commit']}")
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(options, settings, maps, stem):
    for setting in settings:
        if "onelook_bench" not in setting:
            setting["onelook_bench"] = ceiling(options, setting)
    measured = result(options, settings, maps)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{stem}.json").write_text(json.dumps(measured, indent=1) + "\n")
    (options.out / f"{stem}.md").write_text(text(measured))
    plot(measured, options.out / f"{stem}.png")
