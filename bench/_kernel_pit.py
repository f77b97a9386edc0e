"""kernel_pit_*: point-in-time joins of three views of 1M rows over 10,000 entities, five features each, into Parquet."""
import functools
import os
import subprocess
import sys

import _peers
from _kernel_tools import BUILD, RUNS, answer, wanted
from run import ROOT, WORK, measured, row

FOLDER = os.path.join(WORK, "kernel_pit")
SPINES = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
MEMORY_MB = 2048
FEAST_MEMORY_MB = 1000
SHORT_RUNS = 7  # of ours, which take less than a second: the first of few would weigh too much


@functools.cache
def program():
    subprocess.run(["cmake", "--build", BUILD, "--target", "kernel_pit_bench"], check=True, stdout=sys.stderr)
    return os.path.join(BUILD, "bin", "kernel_pit_bench")


def spine(name):
    """The path of a spine; all data is generated with the first."""
    path = os.path.join(FOLDER, f"spine_{name}.parquet")
    if not os.path.exists(path):
        os.makedirs(FOLDER, exist_ok=True)
        peer("generate", FOLDER, name, SPINES[name])
    return path


def peer(*arguments):
    return answer([_peers.python(), os.path.join(ROOT, "bench", "_kernel_pit_peers.py"), *map(str, arguments)])


def ours(kind, name, memory_mb, runs=RUNS):
    out = os.path.join(FOLDER, f"ours_{kind}_{name}.parquet")
    return answer([program(), kind, FOLDER, spine(name), out, str(memory_mb), str(runs)]), out


def against_feast(name, least):
    mine, out = ours("latest", name, FEAST_MEMORY_MB, SHORT_RUNS)
    theirs = answer([_peers.python("peers_feast"), os.path.join(ROOT, "bench", "_kernel_pit_feast.py"), FOLDER, spine(name), out, str(RUNS)])
    print(f"  peak {mine['peak_mb']} MB, Feast {theirs['peak_mb']} MB", file=sys.stderr)
    return [row(f"kernel_pit_{name}_feast", mine["seconds"], "s", theirs["seconds"], "Feast 0.67, DuckDB store", equal=theirs["equal"], ratio_least=least),
            row(f"kernel_pit_{name}_feast_memory", [mine["peak_mb"]], "MB", [theirs["peak_mb"]], "Feast 0.67, DuckDB store", ours_most=1000)]


def asof():
    mine, out = ours("latest", "10m", MEMORY_MB)
    theirs = peer("asof", FOLDER, spine("10m"), out, MEMORY_MB, RUNS)
    return row("kernel_pit_10m_asof", mine["seconds"], "s", theirs["seconds"], "DuckDB ASOF joins", equal=theirs["equal"], ratio_least=1.25)


def windows():
    mine, out = ours("windows", "10m", MEMORY_MB)
    equal = peer("windows", FOLDER, spine("10m"), out)["equal"]
    print(f"  peak {mine['peak_mb']} MB", file=sys.stderr)
    return row("kernel_pit_10m", [mine["rows"] / seconds for seconds in mine["seconds"]], "rows/s", equal=equal, ours_least=1.2e6)


def run():
    rows = []
    parts = {"kernel_pit_100k_feast": lambda: against_feast("100k", 20), "kernel_pit_1m_feast": lambda: against_feast("1m", 60),
             "kernel_pit_10m_asof": asof, "kernel_pit_10m": windows}
    for name, work in parts.items():
        if wanted(name):
            rows += measured(name, work)
    return rows
