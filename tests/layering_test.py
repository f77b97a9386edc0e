#!/usr/bin/env python3
"""Checks that the folders of src/ use each other as the tables in docs/ARCHITECTURE.md say."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FREE = ("nlohmann/", "fmt/")
TESTS_ONLY = ("gtest/", "gmock/")
# Standard headers have no suffix; these belong to C and to the operating system.
SYSTEM = re.compile(r"(sys|netinet|arpa|linux|net)/\w+\.h|(dirent|dlfcn|errno|fcntl|fnmatch|glob|immintrin|malloc|netdb|poll|pthread|pwd|sched|signal|spawn"
                    r"|stddef|stdint|stdio|stdlib|string|strings|sysexits|termios|time|unistd|wait|wchar)\.h|bits/.*")
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}


def table(lines, heading):
    """The rows of the first table whose first column has that heading, as lists of cells."""
    rows = []
    inside = False
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside, rows = (False, rows) if rows else (inside, rows)
            if rows:
                break
        elif cells[0] == heading:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            rows.append(cells)
    return rows


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def read_rules():
    with open(os.path.join(ROOT, "docs", "ARCHITECTURE.md"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    folders = {}
    for folder_cell, _, allowed in table(lines, "folder"):
        for folder in names(folder_cell):
            folders[folder] = set(folders) if "all above" in allowed else set(names(allowed))
    vendors = {}
    for headers, _, owners in table(lines, "headers"):
        for header in names(headers):
            vendors[header] = set(names(owners))
    return folders, vendors


def source_files():
    for path, directories, files in os.walk(os.path.join(ROOT, "src")):
        directories.sort()
        for name in sorted(files):
            if name.endswith((".h", ".cc")):
                yield os.path.relpath(os.path.join(path, name), ROOT)


def inside(path, folder):
    return path.startswith(folder + "/")


def check_own(folder, target, folders):
    """What is wrong with a file of that folder including target, or None."""
    if inside(target, folder):
        return None
    to = target.split("/")[0]
    if to not in folders:
        return f'"{target}" is not in a folder that docs/ARCHITECTURE.md names'
    if to not in folders[folder] and not any(inside(target, allowed) for allowed in folders[folder]):
        return f"`{folder}` may not include `{to}`"
    return None


def check_vendor(path, folder, header, vendors):
    for prefix, owners in vendors.items():
        if header == prefix or (prefix.endswith("/") and header.startswith(prefix)):
            if not any(folder == owner or inside(folder, owner) for owner in owners):
                return f"<{header}> belongs to {', '.join(sorted(owners))}, not to `{folder}`"
            if not path.endswith(".cc"):
                return f"<{header}> is a third-party header: include it in a .cc file only"
            return None
    if header.startswith(FREE) or ("." not in header and "/" not in header) or SYSTEM.fullmatch(header):
        return None
    if header.startswith(TESTS_ONLY):
        return None if path.endswith("_test.cc") else f"<{header}> is for tests only"
    return f"<{header}> is not in the table of vendors in docs/ARCHITECTURE.md"


def check_file(path, folders, vendors):
    inner = path[len("src/"):]
    holders = [folder for folder in folders if inside(inner, folder)]
    if not holders:
        return [f"{path}: is in no folder that docs/ARCHITECTURE.md names"]
    folder = max(holders, key=len)
    problems = []
    if set(os.path.splitext(os.path.basename(path))[0].removesuffix("_test").split("_")) & VAGUE_NAMES:
        problems.append(f"{path}: the name does not say what is inside")
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not found:
                continue
            problem = check_own(folder, found[2], folders) if found[1] == '"' else check_vendor(path, folder, found[2], vendors)
            if problem:
                problems.append(f"{path}:{number}: {problem}")
    return problems


def main():
    folders, vendors = read_rules()
    if not folders or not vendors:
        print("docs/ARCHITECTURE.md has no tables of folders and vendors")
        print("0 passed, 1 failed")
        return 1
    passed = failed = 0
    for path in source_files():
        problems = check_file(path, folders, vendors)
        failed += bool(problems)
        passed += not problems
        for problem in problems:
            print(problem)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
