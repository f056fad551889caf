#!/usr/bin/env python3
"""Assembles the pages of the documentation site from docs/en, docs/zh-CN and the documents that they include.

    python3 scripts/site/assemble.py          # writes target/site/pages and target/site/commands.json

A paragraph `[text](FILE.md#anchor) <!-- include -->` stands for that section, without its heading; on GitHub it is a
link. `include without subsections` ends at the next heading. `<!-- include if there: PATH -->` is a whole document that
need not exist, and whose commands are tested elsewhere. Links to pages, images and files of the repository are made to lead where they should from the site.
Out: plain Markdown, and the commands of all `sh` blocks with what their info strings say. Both languages must have the
same pages and commands. Needs the standard library only.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OUT = ROOT / "target/site"
LANGUAGES = ["en", "zh-CN"]
REPOSITORY = "https://github.com/onelook-rs/onelook/blob/main/"

INCLUDE = re.compile(r"^\[[^\]]*\]\((?P<target>[^)]+)\) <!-- include(?P<alone> without subsections)? -->$", re.M)
INCLUDE_IF_THERE = re.compile(r"^<!-- include if there: (?P<path>\S+) -->$", re.M)
FENCE = re.compile(r"^```(?P<language>[\w-]*)[ ]*(?P<more>.*)$")
LINK = re.compile(r"(?P<before>!?\[(?:[^\]\[]|\[[^\]]*\])*\])\((?P<target>[^)\s]+)\)")


class Mistake(Exception):
    """What is wrong with the documents."""


def outside_code(text):
    """`(line, whether it is outside of fenced code)`."""
    inside = False
    for line in text.splitlines():
        is_fence = line.lstrip().startswith("```")
        yield line, not inside and not is_fence
        inside ^= is_fence


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def section(path, anchor, alone):
    """The text below a heading, and the heading's level."""
    lines, level = [], None
    for line, is_text in outside_code(path.read_text(encoding="utf-8")):
        heading = re.match(r"(#+) (.*)", line) if is_text else None
        if level is None:
            if heading and slug(heading[2]) == anchor:
                level = len(heading[1])
            continue
        if heading and (alone or len(heading[1]) <= level):
            break
        lines.append(line)
    if level is None:
        raise Mistake(f"{path.relative_to(ROOT)} has no heading '#{anchor}'")
    return "\n".join(lines).strip("\n"), level


def shift_headings(text, by):
    """Headings moved by so many levels, so that they stand below the one that includes them."""
    shifted = []
    for line, is_text in outside_code(text):
        heading = re.match(r"(#+)( .*)", line) if is_text else None
        shifted.append("#" * max(2, len(heading[1]) + by) + heading[2] if heading else line)
    return "\n".join(shifted)


def level_before(text, position):
    """The level of the last heading before a position of the text."""
    levels = [1]
    for line, is_text in outside_code(text[:position]):
        if is_text and (heading := re.match(r"(#+) ", line)):
            levels.append(len(heading[1]))
    return levels[-1]


def site_link(target, source, page):
    """A link of `source` as it must be on the page `page`, a path below the pages."""
    file, _, anchor = target.partition("#")
    if "://" in target or target.startswith("mailto:"):
        return target
    if not file:
        return target
    path = Path(os.path.normpath(source.parent / file))
    if not path.exists():
        raise Mistake(f"{source.relative_to(ROOT)}: {target} is not there")
    inside = path.relative_to(ROOT)
    end = f"#{anchor}" if anchor else ""
    if inside.parts[0] == "docs" and inside.suffix == ".md" and len(inside.parts) == 3:
        return os.path.relpath(path.relative_to(DOCS), page.parent) + end
    if inside.suffix in {".jpg", ".png", ".svg"}:
        copy = OUT / "pages" / "images" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        return os.path.relpath(Path("images") / path.name, page.parent)
    return REPOSITORY + inside.as_posix() + end


def with_site_links(text, source, page):
    """The text with its links changed, code left alone."""

    def change(found):
        return f"{found['before']}({site_link(found['target'], source, page)})"

    lines = []
    for line, is_text in outside_code(text):
        lines.append(LINK.sub(change, line) if is_text and not INCLUDE.match(line) else line)
    return "\n".join(lines)


def expand(source, page):
    """The page's text with everything that it includes."""
    text = with_site_links(source.read_text(encoding="utf-8"), source, page)

    def include(found):
        file, _, anchor = found["target"].partition("#")
        path = Path(os.path.normpath(source.parent / file))
        if not path.is_file():
            raise Mistake(f"{source.relative_to(ROOT)} includes {file}, which is not there")
        part, level = section(path, anchor, found["alone"])
        part = shift_headings(part, level_before(text, found.start()) - level)
        return with_site_links(part, path, page)

    def include_if_there(found):
        path = ROOT / found["path"]
        if not path.is_file():
            return f"(`{found['path']}` is not there.)"
        whole = path.read_text(encoding="utf-8")
        # The page has a title already.
        body = whole.partition("\n")[2] if whole.startswith("# ") else whole
        body = re.sub(r"(?m)^```(sh|bash|console)$", r'```\1 skip="a container engine"', body)
        return with_site_links(body.strip("\n"), path, page)

    text = INCLUDE.sub(include, text)
    return INCLUDE_IF_THERE.sub(include_if_there, text) + "\n"


def blocks(text, page):
    """Fenced blocks of commands: page, what the info string says, the text."""
    found, block = [], None
    for line in text.splitlines():
        fence = FENCE.match(line)
        if block is not None:
            if line.startswith("```"):
                found.append({**block, "text": "\n".join(block["text"])})
                block = None
            else:
                block["text"].append(line)
        elif fence:
            block = {"page": page, "language": fence["language"], "mark": fence["more"].strip(), "text": []}
    return [block for block in found if block["language"] in {"sh", "bash", "console"}]


def commands(block):
    """Commands of a block: lines that go on joined, comments and empty lines left out."""
    joined = re.sub(r"\\\n\s*", " ", block["text"])
    lines = (re.sub(r"\s{2,}#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def without_marks(text):
    """Fences with their language alone: what is behind it is for the test of commands, and breaks generators."""
    return re.sub(r"(?m)^```(\w[\w-]*)[ ]+\S.*$", r"```\1", text)


def assemble():
    """Writes all pages; gives the blocks of commands."""
    names = {language: sorted(path.name for path in (DOCS / language).glob("*.md")) for language in LANGUAGES}
    if names["en"] != names["zh-CN"]:
        raise Mistake(f"pages in one language only: {sorted(set(names['en']) ^ set(names['zh-CN']))}")
    shutil.rmtree(OUT / "pages", ignore_errors=True)
    found = {}
    for language in LANGUAGES:
        for name in names[language]:
            page = Path(language) / name
            text = expand(DOCS / page, page)
            out = OUT / "pages" / page
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(without_marks(text), encoding="utf-8")
            found[language, name] = blocks(text, str(page))
    for name in names["en"]:
        same = [[(block["mark"], commands(block)) for block in found[language, name]] for language in LANGUAGES]
        # The command line's reference, and what is included as a whole, is there in one language.
        if same[0] != same[1]:
            raise Mistake(f"{name} has other commands in Chinese: {same[0]} and {same[1]}")
    shutil.copyfile(Path(__file__).with_name("site.css"), OUT / "pages/site.css")
    links = " · ".join(f"[{title}]({language}/index.md)" for title, language in [("English", "en"), ("简体中文", "zh-CN")])
    (OUT / "pages/index.md").write_text(f"# onelook\n\n{links}\n", encoding="utf-8")
    return [block for name in names["en"] for block in found["en", name]]


def main():
    try:
        all_blocks = assemble()
    except Mistake as mistake:
        sys.exit(f"{mistake}")
    kept = [{"page": block["page"], "mark": block["mark"], "commands": commands(block)} for block in all_blocks]
    (OUT / "commands.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{len(list((OUT / 'pages').glob('*/*.md')))} pages, {sum(len(block['commands']) for block in kept)} commands")


if __name__ == "__main__":
    main()
