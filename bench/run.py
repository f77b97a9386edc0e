#!/usr/bin/env python3
"""Runs the benchmarks: bench/run.py [NAME...], or `make bench ONLY=NAME`.

A benchmark is a module bench/NAME.py with a function run() that returns rows. A row is one measured quantity, made with `row` below: our
runs and, in the same process of measuring, those of the peer. Results are printed and written to build/bench/results.json.
"""
import importlib
import json
import os
import platform
import statistics
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.environ.get("TIDEMILL_PROGRAM", os.path.join(ROOT, "build", "release", "bin", "tidemill"))
DATA = os.environ.get("TIDEMILL_TEST_DATA", os.path.join(os.environ.get("TIDEMILL_DEPS", os.path.join(ROOT, ".deps")), "data"))
WORK = os.path.join(ROOT, "build", "bench")


def row(name, ours, unit, theirs=(), peer=None, equal=None, ratio_least=None, ours_most=None, ours_least=None):
    """One quantity. `ours` and `theirs` hold each run; `equal` tells whether both sides gave the same answers (None: not compared).
    The last three are bounds, of the ratio and of our median; whether all of them hold is said beside the figures.

    The ratio is the peer's median over ours where less is better (units of time and memory), and ours over the peer's where more is better
    (units that end in "/s"): above 1 we are ahead, whichever the unit.
    """
    ours, theirs = list(ours), list(theirs)
    ratio = None
    if ours and theirs:
        mine, other = statistics.median(ours), statistics.median(theirs)
        over, under = (mine, other) if unit.endswith("/s") else (other, mine)
        ratio = over / under if under else None
    figure = statistics.median(ours) if ours else None
    bounds = [(f"ratio >= {ratio_least}", ratio_least is not None, ratio is not None and ratio >= (ratio_least or 0)),
              (f"ours <= {ours_most}", ours_most is not None, figure is not None and figure <= (ours_most or 0)),
              (f"ours >= {ours_least}", ours_least is not None, figure is not None and figure >= (ours_least or 0))]
    asked = [(text, met) for text, wanted, met in bounds if wanted]
    return {"name": name, "peer": peer, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ratio, "equal": equal,
            "bound": ", ".join(text for text, _ in asked) or None, "met": all(met for _, met in asked) if asked else None}


def failure(name, error):
    """A row that could not be measured: shown, and an error of the whole run."""
    return {**row(name, [], ""), "error": str(error)}


def measured(name, work):
    """The rows that `work` returns (a row or a list), or the failure: one row that breaks does not take the others with it."""
    start = time.perf_counter()
    try:
        rows = work()
    except Exception as error:
        traceback.print_exc()
        rows = failure(name, error)
    print(f"  {name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return rows if isinstance(rows, list) else [rows]


def timed(work, runs=5):
    """The seconds that each of some calls took; the first call, which warms caches, does not count."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def registered():
    names = [file[:-3] for file in os.listdir(os.path.join(ROOT, "bench")) if file.endswith(".py")]
    return sorted(name for name in names if name != "run" and not name.startswith("_"))


def number(value):
    if value is None:
        return ""
    if value == 0 or 0.01 <= abs(value) < 10000:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.2e}"


def print_table(rows):
    cells = [["benchmark", "ours", "unit", "peer", "theirs", "ratio", "equal", "bound"]]
    for each in rows:
        cells.append([
            each["name"], number(statistics.median(each["ours"])) if each["ours"] else "", each["unit"], each["peer"] or "",
            number(statistics.median(each["theirs"])) if each["theirs"] else "", number(each["ratio"]),
            {None: "", True: "yes", False: "NO"}[each["equal"]],
            f"FAILED: {each['error']}".splitlines()[0] if "error" in each else {None: "", True: f"{each['bound']}: met", False: f"{each['bound']}: MISSED"}[each["met"]],
        ])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    sys.path.insert(0, os.path.join(ROOT, "bench"))
    sys.modules["run"] = sys.modules["__main__"]  # benchmarks say `from run import row`: this module, not a second copy of it
    names = sys.argv[1:] or registered()
    unknown = sorted(set(names) - set(registered()))
    if unknown:
        sys.exit(f"unknown benchmark: {', '.join(unknown)}; there are: {', '.join(registered()) or 'none'}")
    os.makedirs(WORK, exist_ok=True)
    rows = []
    failed = []
    for name in names:
        print(f"running {name}", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(name).run()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    print_table(rows)
    with open(os.path.join(WORK, "results.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    print(f"on {platform.machine()}, {os.cpu_count()} cores; written to {os.path.relpath(os.path.join(WORK, 'results.json'), ROOT)}", file=sys.stderr)
    wrong = [each["name"] for each in rows if each["equal"] is False]
    missed = [each["name"] for each in rows if each["met"] is False]
    failed += [each["name"] for each in rows if "error" in each]
    if missed:
        print("bounds missed: " + ", ".join(missed), file=sys.stderr)
    if failed or wrong:
        sys.exit("; ".join(filter(None, ["failed: " + ", ".join(failed) if failed else "", "answers differ: " + ", ".join(wrong) if wrong else ""])))


if __name__ == "__main__":
    main()
