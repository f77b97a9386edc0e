"""The online store in process: pushes, queries, an entity with 10M events in its window, and how large states are."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from _kernel_tools import BUILD, RUNS, answer, wanted
from run import WORK, measured, row

PUSHED, PUSH_ENTITIES, PUSH_BATCH = 1_000_000, 50_000, 1_000
QUERY_EVENTS, QUERIES = 200_000, 20_000
HOT_EVENTS, HOT_CALLS = 10_000_000, 20_000


def program():
    subprocess.run(["cmake", "--build", BUILD, "--target", "online_bench"], check=True, stdout=sys.stderr)
    return os.path.join(BUILD, "bin", "online_bench")


def ours(*arguments, one_core=False):
    """Runs one part in a folder of its own, on the disk where builds are."""
    os.makedirs(WORK, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="online-", dir=WORK)
    try:
        command = [program(), arguments[0], folder, *map(str, arguments[1:])]
        return answer((["taskset", "-c", "0"] if one_core else []) + command)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def push():
    done = ours("push", PUSHED, PUSH_ENTITIES, PUSH_BATCH, RUNS, one_core=True)
    return row("kernel_push", [done["events"] / seconds for seconds in done["seconds"]], "events/s", ours_least=200_000)


def query():
    medians = []
    for _ in range(RUNS):
        done = ours("query", QUERY_EVENTS, QUERIES)
        assert done["features"] == 50
        medians.append(statistics.median(done["seconds"]) * 1e6)
    return row("kernel_query_50", medians, "us", ours_most=20)


def hot():
    queries, updates = [], []
    for _ in range(RUNS):
        done = ours("hot", HOT_EVENTS, HOT_CALLS)
        queries.append(percentile(done["queries"], 0.99) * 1e6)
        updates.append(percentile(done["updates"], 0.99) * 1e6)
    return [row("kernel_hot_query", queries, "us", ours_most=50), row("kernel_hot_update", updates, "us", ours_most=10)]


def state_bytes():
    rows = []
    for state in ours("bytes"):
        most = 200 + 12 * state["events"]
        rows.append(row(f"kernel_state_bytes_{state['events_a_day']}_a_day_{state['days']}d", [state["bytes"]], "bytes", ours_most=most))
    return rows


def run():
    rows = []
    for name, work in (("kernel_push", push), ("kernel_query_50", query), ("kernel_hot", hot), ("kernel_state_bytes", state_bytes)):
        if wanted(name):
            rows += measured(name, work)
    return rows
