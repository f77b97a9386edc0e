"""kernel_fraud_*: the 15 features of the fraud simulator."""
import os
import shutil

from _kernel_tools import RUNS, extensions, ours, payments, theirs, wanted
from run import WORK, measured, row


def folder():
    path = os.path.join(WORK, "kernel_fraud")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def compute():
    """In memory on both sides. Wrong answers are a failure of the run, with the differences."""
    where = folder()
    mine = ours("fraud", payments(), RUNS, where)
    peer = theirs("_kernel_fraud_peers.py", "duckdb", payments(), RUNS, where)
    return row("kernel_fraud_compute", mine["seconds"], "s", peer["seconds"], "DuckDB windows", equal=peer["equal"], ratio_least=3)


def lake():
    """From a lake table into a lake table, on both sides."""
    where = folder()
    mine = ours("lake", payments(), RUNS, where)
    peer = theirs("_kernel_fraud_peers.py", "lake", payments(), RUNS, where, extensions())
    return row("kernel_fraud_lake", mine["seconds"], "s", peer["seconds"], "DuckDB windows in DuckLake", equal=peer["equal"], ratio_least=2)


def pandas():
    mine = ours("fraud", payments(), RUNS)
    peer = theirs("_kernel_fraud_peers.py", "pandas", payments(), RUNS)
    return row("kernel_fraud_pandas", mine["seconds"], "s", peer["seconds"], "pandas, rolling by customer and terminal", ratio_least=50)


def run():
    rows = []
    for name, work in (("kernel_fraud_compute", compute), ("kernel_fraud_lake", lake), ("kernel_fraud_pandas", pandas)):
        if wanted(name):
            rows += measured(name, work)
    return rows
