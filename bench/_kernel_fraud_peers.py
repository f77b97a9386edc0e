"""The peers of the kernel_fraud rows, run by the Python of bench/peers.txt. Prints one line of JSON.

  duckdb FILE RUNS FOLDER   DuckDB's windows over a table in memory into a table in memory; compares our columns in FOLDER with them and with exact sums
  lake FILE RUNS FOLDER EXTENSIONS  the same windows from a table of a DuckLake into another; compares our FOLDER/features.parquet with them
  pandas FILE RUNS          rolling windows by customer and by terminal, as the handbook does it
"""
import json
import math
import os
import random
import sys
import time
from fractions import Fraction

import duckdb
import numpy

THREADS = 2
DAY_US = 86_400_000_000
DAYS = (1, 7, 30)
DELAY_DAYS = 7
SAMPLED_ROWS = 100_000
RATIONAL_ROWS = 2_000
ULPS_MAX = 16


def features_sql():
    """Frames over whole microseconds are DuckDB's quickest; a window (t - w, t] begins a microsecond after t - w."""
    outputs, windows = [], []
    for days in DAYS:
        outputs += [f"count(*) OVER c{days} AS customer_count_{days}d", f"avg(amount) OVER c{days} AS customer_mean_{days}d",
                    f"count(*) OVER t{days} AS terminal_count_{days}d", f"coalesce(avg(fraud) OVER t{days}, 0) AS terminal_risk_{days}d"]
        windows += [f"c{days} AS (PARTITION BY customer_id ORDER BY us RANGE BETWEEN {days * DAY_US - 1} PRECEDING AND CURRENT ROW)",
                    f"t{days} AS (PARTITION BY terminal_id ORDER BY us RANGE BETWEEN {(days + DELAY_DAYS) * DAY_US - 1} PRECEDING"
                    f" AND {DELAY_DAYS * DAY_US} PRECEDING)"]
    return (f"SELECT transaction_id, amount, isodow(paid_at) >= 6 AS weekend, hour(paid_at) <= 6 AS night, {', '.join(outputs)} "
            f"FROM payments WINDOW {', '.join(windows)}")


def connect(path):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}; SET enable_progress_bar = false; SET preserve_insertion_order = false")
    connection.execute(f"CREATE TABLE payments AS SELECT *, epoch_us(paid_at) AS us FROM '{path}' ORDER BY transaction_id")
    return connection


def seconds_of(work, runs):
    seconds = []
    for run in range(runs + 1):
        start = time.perf_counter()
        work()
        if run > 0:
            seconds.append(time.perf_counter() - start)
    return seconds


def read_ours(folder):
    columns = {}
    for name in os.listdir(folder):
        kind = numpy.float64 if name == "amount" or "mean" in name or "risk" in name else numpy.int64
        columns[name] = numpy.fromfile(os.path.join(folder, name), dtype=kind)
    return columns


def ulps(a, b):
    """Between numbers of one sign."""
    return numpy.abs(a.view(numpy.int64) - b.view(numpy.int64))


def rows_by(keys):
    """Positions by key; within a key they are in order of time, as the rows are."""
    order = numpy.argsort(keys, kind="stable")
    begins = numpy.flatnonzero(numpy.r_[True, numpy.diff(keys[order]) != 0])
    return {int(keys[order[begin]]): positions for begin, positions in zip(begins, numpy.split(order, begins[1:]))}


def exact_mean(values, rational):
    """The exact sum, rounded once, divided by the number of values; fsum rounds the exact sum, rationals show it."""
    total = math.fsum(values)
    if rational and float(sum(map(Fraction, values))) != total:
        raise ValueError("math.fsum is not exact here")
    return total / len(values)


def check_exact(payments, mine):
    """How many of the sampled rows' means differ in a bit from sums recomputed exactly."""
    chosen = random.Random(7).sample(range(len(payments["us"])), SAMPLED_ROWS)
    different = 0
    for key, value, output, delay in (("customer_id", "amount", "customer_mean", 0), ("terminal_id", "fraud", "terminal_risk", DELAY_DAYS * DAY_US)):
        positions = rows_by(payments[key])
        times = {entity: payments["us"][rows] for entity, rows in positions.items()}
        values = {entity: payments[value][rows].astype(float).tolist() for entity, rows in positions.items()}
        for number, at in enumerate(chosen):
            entity, now = int(payments[key][at]), int(payments["us"][at]) - delay
            end = numpy.searchsorted(times[entity], now, side="right")
            for days in DAYS:
                begin = numpy.searchsorted(times[entity], now - days * DAY_US, side="right")
                inside = values[entity][begin:end]
                expected = exact_mean(inside, number < RATIONAL_ROWS) if inside else 0.0
                different += expected != mine[f"{output}_{days}d"][at]
    return different


def check(connection, folder):
    """Sentences about what differs."""
    mine = read_ours(folder)
    theirs = connection.execute("SELECT * FROM features ORDER BY transaction_id").fetchnumpy()
    payments = connection.execute("SELECT us, customer_id, terminal_id, amount, fraud FROM payments ORDER BY transaction_id").fetchnumpy()
    wrong = []
    for name, column in mine.items():
        other = numpy.asarray(theirs[name], dtype=column.dtype)
        distance = ulps(column, other) if column.dtype == numpy.float64 else numpy.abs(column - other)
        allowed = ULPS_MAX if column.dtype == numpy.float64 else 0
        print(f"{name}: at most {distance.max()} {'ulp' if allowed else ''} from DuckDB's in {len(column)} rows", file=sys.stderr)
        if len(column) != len(other) or distance.max() > allowed:
            wrong.append(f"{name} differs from DuckDB's by more than {allowed}")
    if different := check_exact(payments, mine):
        wrong.append(f"{different} means in {SAMPLED_ROWS} rows differ from exact sums")
    if len(mine) != 15:
        wrong.append(f"{len(mine)} of 15 features")
    return wrong


def run_duckdb(path, runs, folder):
    connection = connect(path)
    seconds = seconds_of(lambda: connection.execute(f"CREATE OR REPLACE TABLE features AS {features_sql()}"), runs)
    wrong = check(connection, folder)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return {"seconds": seconds, "equal": not wrong}


def run_lake(path, runs, folder, extensions):
    connection = duckdb.connect(config={"extension_directory": folder})
    connection.execute(f"SET threads = {THREADS}; SET enable_progress_bar = false; SET preserve_insertion_order = false; LOAD '{extensions}/ducklake.duckdb_extension'")
    connection.execute(f"ATTACH 'ducklake:{folder}/peer.ducklake' AS lake (DATA_PATH '{folder}/peer'); USE lake")
    connection.execute(f"CREATE TABLE payments AS SELECT *, epoch_us(paid_at) AS us FROM '{path}' ORDER BY transaction_id")
    seconds = seconds_of(lambda: connection.execute(f"CREATE OR REPLACE TABLE features AS {features_sql()}"), runs)
    theirs = connection.execute("SELECT * FROM features ORDER BY transaction_id").fetchnumpy()
    mine = connection.execute(f"SELECT * FROM '{folder}/features.parquet' ORDER BY transaction_id").fetchnumpy()
    wrong = [] if numpy.array_equal(mine["transaction_id"], theirs["transaction_id"]) else ["rows are missing"]
    for name, other in theirs.items() if not wrong else ():
        column = mine[name if name in mine else f"{name[0]}__{name}"]
        distance = ulps(column, other) if column.dtype == numpy.float64 else column != other
        if distance.max() > (ULPS_MAX if column.dtype == numpy.float64 else 0):
            wrong.append(f"{name} differs from DuckDB's by {distance.max()}")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return {"seconds": seconds, "equal": not wrong}


def rolling_customer(rows):
    """One customer's payments with time as index, in order."""
    for days in DAYS:
        window = rows.amount.rolling(f"{days}d")
        rows[f"customer_count_{days}d"] = window.count()
        rows[f"customer_mean_{days}d"] = window.sum() / window.count()
    return rows


def rolling_terminal(rows):
    """One terminal's; what the last week holds is taken off, because it is not known yet."""
    late = rows.fraud.rolling(f"{DELAY_DAYS}d")
    late_sum, late_count = late.sum(), late.count()
    for days in DAYS:
        window = rows.fraud.rolling(f"{DELAY_DAYS + days}d")
        count = window.count() - late_count
        rows[f"terminal_count_{days}d"] = count
        rows[f"terminal_risk_{days}d"] = ((window.sum() - late_sum) / count).fillna(0)
    return rows


def run_pandas(path, runs):
    frame = duckdb.connect().execute(f"SELECT paid_at, customer_id, terminal_id, amount, fraud FROM '{path}' ORDER BY transaction_id").df()

    def work():
        features = frame.assign(weekend=frame.paid_at.dt.weekday >= 5, night=frame.paid_at.dt.hour <= 6)
        features = features.set_index("paid_at")
        features = features.groupby("customer_id", group_keys=False)[features.columns.tolist()].apply(rolling_customer)
        return features.groupby("terminal_id", group_keys=False)[features.columns.tolist()].apply(rolling_terminal)

    seconds = []
    for _ in range(runs):  # a run takes the better part of a minute: nothing to warm
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def main():
    kind, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    works = {"duckdb": run_duckdb, "lake": run_lake, "pandas": run_pandas}
    print(json.dumps(works[kind](path, runs, *sys.argv[4:])))


if __name__ == "__main__":
    main()
