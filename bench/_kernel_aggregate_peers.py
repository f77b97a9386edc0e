"""The peers of the kernel_aggregate rows, run by the Python of bench/peers.txt. Prints one line of JSON.

  cut FILE PART CUSTOMERS             the payments of the first customers; none at the same time as another, which DuckDB's windows leave open
  aggregate FILE RUNS VALUE RAW TYPE  VALUE as a window function over 7 days by customer; compares numbers with ours, of TYPE, in the file RAW
"""
import json
import sys

import duckdb
import numpy

from _kernel_fraud_peers import DAY_US, connect, seconds_of

TOLERANCE = 1e-9  # DuckDB's sums drift with what has passed through the window


def aggregate(path, runs, value, raw, our_type):
    connection = connect(path)
    call, _, condition = value.partition(" FILTER ")
    call += f" FILTER {condition}" if condition else ""
    statement = (f"CREATE OR REPLACE TABLE features AS SELECT transaction_id, {call} OVER (PARTITION BY customer_id ORDER BY us "
                 f"RANGE BETWEEN {7 * DAY_US - 1} PRECEDING AND CURRENT ROW) AS value FROM payments")
    seconds = seconds_of(lambda: connection.execute(statement), runs)
    theirs = connection.execute("SELECT value FROM features ORDER BY transaction_id").fetchnumpy()["value"]
    if not isinstance(theirs, numpy.ma.MaskedArray):
        theirs = numpy.ma.array(theirs)
    if our_type not in ("number", "integer", "boolean"):
        return {"seconds": seconds, "equal": None}
    mine = numpy.fromfile(raw, dtype=numpy.float64 if our_type == "number" else numpy.int64)
    other = theirs.filled(0).astype(mine.dtype)  # a null is a zero among ours
    if mine.dtype.kind == "f":
        other[numpy.isnan(other)] = 0  # and so is what has no value, as the correlation of one row
    close = numpy.isclose(mine, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True) if mine.dtype.kind == "f" else mine == other
    if not close.all():
        at = int(numpy.flatnonzero(~close)[0])
        print(f"{value}: {int((~close).sum())} of {len(close)} differ, first in row {at}: {mine[at]} and {other[at]}", file=sys.stderr)
    return {"seconds": seconds, "equal": bool(close.all())}


def cut(path, part, customers):
    duckdb.connect().execute(f"COPY (SELECT * FROM '{path}' WHERE customer_id < {int(customers)} "
                             f"QUALIFY count(*) OVER (PARTITION BY customer_id, paid_at) = 1 ORDER BY transaction_id) TO '{part}' (FORMAT parquet)")
    return {}


def main():
    arguments = sys.argv[2:]
    print(json.dumps(cut(*arguments) if sys.argv[1] == "cut" else aggregate(arguments[0], int(arguments[1]), *arguments[2:])))


if __name__ == "__main__":
    main()
