"""What the parts of kernel.py share: the data, our program in process, and the peers in their own Python."""
import functools
import json
import os
import subprocess
import sys

import _peers
from run import ROOT, WORK

RUNS = 3
COUNTS = "1754155 973 9077 4631"
BUILD = os.path.join(ROOT, "build", "release")


def wanted(name):
    return name.startswith(os.environ.get("KERNEL_ONLY", ""))


def output(command):
    """Standard output as text. What a program says of its failure is the failure here."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    print(done.stderr, end="", file=sys.stderr, flush=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("hint:")]
        raise RuntimeError(said[-1] if said else f"{command[0]} ended with {done.returncode}")
    return done.stdout


def answer(command):
    return json.loads(output(command).splitlines()[-1])


@functools.cache
def payments():
    """The Parquet file of card payments, generated once; its counts are checked."""
    path = os.path.join(WORK, "data", "payments.parquet")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        counts = output([_peers.python(), os.path.join(ROOT, "examples", "card_fraud", "generate.py"), path + ".new"]).strip()
        if counts != COUNTS:
            raise ValueError(f"the generator made {counts} rows and frauds of the three kinds instead of {COUNTS}")
        os.rename(path + ".new", path)
    return path


@functools.cache
def kernel_bench():
    subprocess.run(["cmake", "--build", BUILD, "--target", "kernel_bench"], check=True, stdout=sys.stderr)
    return os.path.join(BUILD, "bin", "kernel_bench")


def extensions():
    """The folder with DuckDB's signed extensions."""
    return os.path.join(BUILD, "lib")


def ours(*arguments):
    os.environ.setdefault("TIDEMILL_EXTENSIONS", extensions())
    return answer([kernel_bench(), *map(str, arguments)])


def theirs(script, *arguments):
    """Runs bench/SCRIPT in the Python of bench/peers.txt; its last line of output is JSON."""
    return answer([_peers.python(), os.path.join(ROOT, "bench", script), *map(str, arguments)])
