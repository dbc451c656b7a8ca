#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the tree that a compiler does not make: which room includes which, mutable globals,
functions that are not used here, lengths of files.

    check_includes.py SOURCE_DIR
"""
import os
import re
import sys

# A file may include headers below these. The longest matching folder decides.
MAY_INCLUDE = {
    "service/base/": ["service/base/"],
    "rules/": ["rules/", "service/base/"],
    "rag/": ["rag/", "service/base/"],
    "service/ingest/": ["service/ingest/", "service/base/"],
    "service/http/": ["service/", "rules/", "rag/"],
    "service/http/push": ["service/http/", "service/ingest/", "service/base/"],
    "service/http/unpack": ["service/http/", "service/base/"],
    "service/http/wire": ["service/http/", "service/base/"],
    "service/llm/": ["service/llm/", "service/base/"],
    "service/commands/": ["service/", "rules/", "rag/"],
    "service/main.c": ["service/", "rules/", "rag/"],
    "service/": ["service/", "rules/", "rag/"],
}
COMMANDS = "service/commands/"
BANNED = ("strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof sscanf alloca system popen "
          "mktemp tmpnam tempnam gethostbyname").split()
BANNED_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# A static object that is neither const nor a function: `static TYPE name =` or `static TYPE name;`
GLOBAL = re.compile(r"^(?:static\s+)?(?!typedef|extern|struct \w+ \{|union|enum|return|const\b)"
                    r"[A-Za-z_][\w\s*]*?[\s*](\w+)\s*(\[[^\]]*\]\s*)*(=|;)")
GLOBALS_ALLOWED = {("service/commands/interrupt.c", "interrupted"), ("service/base/log.c", "level")}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
LINES_MAX = 600


def sources(root):
    for top in ("service", "rules", "rag", "tests"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cc")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def without_comments(text):
    """Comments and the content of strings become blanks; lines stay where they are."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def check_includes(path, text):
    rule = max((p for p in MAY_INCLUDE if path.startswith(p)), key=len, default=None)
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match or rule is None:
            continue
        header = match.group(1)
        if not header.startswith(("service/", "rules/", "rag/")):
            yield "%s:%d: include %s by its path from the root" % (path, number, header)
        elif not header.startswith(tuple(MAY_INCLUDE[rule])):
            yield "%s:%d: %s may not include %s" % (path, number, rule, header)
        elif header.startswith(COMMANDS) and not path.startswith((COMMANDS, "service/main.c")):
            yield "%s:%d: only main.c and commands/ include %s" % (path, number, header)


def check_text(path, text):
    bare = without_comments(text).split("\n")
    depth = 0
    for number, line in enumerate(bare, 1):
        match = BANNED_CALL.search(line)
        if match:
            yield "%s:%d: %s is not used here" % (path, number, match.group(1))
        match = GLOBAL.match(line) if depth == 0 and path.endswith(".c") else None
        if match and "(" not in line.split("=")[0] and not re.search(r"\bconst\b", line.split("=")[0]):
            if (path, match.group(1)) not in GLOBALS_ALLOWED and not path.startswith("tests/"):
                yield "%s:%d: mutable file-scope variable %s" % (path, number, match.group(1))
        depth += line.count("{") - line.count("}")


def check_shape(path, text):
    lines = text.split("\n")
    tests = path.startswith("tests/")
    if len(lines) - 1 > LINES_MAX and not tests:
        yield "%s: %d lines, more than %d" % (path, len(lines) - 1, LINES_MAX)
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield "%s:1: no licence line" % path
    for number, line in enumerate(lines, 1):
        if "\t" in line or line != line.rstrip():
            yield "%s:%d: tab or blanks at the end" % (path, number)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    faults = []
    files = 0
    for path in sources(sys.argv[1]):
        files += 1
        with open(os.path.join(sys.argv[1], path), encoding="utf-8") as f:
            text = f.read()
        for check in (check_includes, check_text, check_shape):
            faults += list(check(path, text))
    print("\n".join(faults + ["%d files, %d faults" % (files, len(faults))]))
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
