#!/usr/bin/env python3
"""Writes the notebooks of both languages from one source each, so that their code cannot drift apart.

    python3 scripts/notebooks/build.py            # writes notebooks/en and notebooks/zh-CN
    python3 scripts/notebooks/build.py --check    # ends with 1 where they are stale

In: notebooks/source/NAME.py, cells that begin with `# %%`. `# %% en` and `# %% zh-CN` are text, always in pairs; `# %%`
is code, which both languages have; `# %% image` is code whose output has to show an image, which run.py checks.
Out: notebooks without outputs. Needs the standard library only.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ["en", "zh-CN"]


def cells(source, path):
    """`(kind, text)` of each cell in the order of the source."""
    found = []
    for part in re.split(r"(?m)^# %%", source)[1:]:
        kind, _, text = part.partition("\n")
        kind, text = kind.strip(), text.strip("\n")
        if kind not in ["", "image", *LANGUAGES]:
            sys.exit(f"{path}: a cell of the unknown kind '{kind}'")
        if kind in LANGUAGES:
            text = "\n".join(re.sub(r"^# ?", "", line) for line in text.splitlines())
            # A line break within a sentence becomes a space, which Chinese has not.
            text = re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?!\n|#|```)", "", text)
        found.append((kind, text))
    kinds = [kind for kind, _ in found]
    for number, kind in enumerate(kinds):
        has_pair = kinds[number : number + 2] == LANGUAGES or kinds[max(0, number - 1) : number + 1] == LANGUAGES
        if kind in LANGUAGES and not has_pair:
            sys.exit(f"{path}: the text of cell {number + 1} is in one language only")
    return found


def notebook(found, language):
    """A notebook of this language in version 4.5 of the format."""
    written = []
    for number, (kind, text) in enumerate(found):
        if kind in LANGUAGES and kind != language:
            continue
        # The two texts of a pair have one id: it is the same cell.
        cell = {"id": f"cell-{number - (kind == LANGUAGES[1])}", "metadata": {}, "source": text.splitlines(keepends=True)}
        if kind in LANGUAGES:
            written.append({"cell_type": "markdown", **cell})
        else:
            cell["metadata"] = {"tags": [kind]} if kind else {}
            written.append({"cell_type": "code", "execution_count": None, "outputs": [], **cell})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    is_check = parser.parse_args().check
    wanted = {}
    for source in sorted((ROOT / "notebooks/source").glob("*.py")):
        found = cells(source.read_text(encoding="utf-8"), source.name)
        for language in LANGUAGES:
            text = json.dumps(notebook(found, language), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
            wanted[ROOT / "notebooks" / language / f"{source.stem}.ipynb"] = text
    there = {path for language in LANGUAGES for path in (ROOT / "notebooks" / language).glob("*.ipynb")}
    stale = [path for path in sorted(there | set(wanted)) if not path.exists() or path.read_text(encoding="utf-8") != wanted.get(path)]
    if is_check:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run python3 scripts/notebooks/build.py", file=sys.stderr)
        sys.exit(1 if stale else 0)
    for path in stale:
        if path not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
