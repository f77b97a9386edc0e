"""kernel_aggregate_NAME: each aggregate alone over 7 days by customer, in ns for an event and a query at its time, against DuckDB's window."""
import os

from _kernel_fraud import folder
from _kernel_tools import RUNS, ours, payments, theirs, wanted
from run import WORK, failure, measured, row

CUSTOMERS = 500  # a tenth of the payments: some aggregates are slow in a window
ON_TIME = "epoch(paid_at)"

# Ours, and DuckDB's where there is one: None where its window function means something else or does not exist.
AGGREGATES = {
    "count": ("count(*)", "count(*)"),
    "count_filter": ("count(*) FILTER (WHERE amount > 50)", "count(*) FILTER (WHERE amount > 50)"),
    "count_distinct": ("count(DISTINCT terminal_id)", "count(DISTINCT terminal_id)"),
    "sum": ("sum(amount)", "sum(amount)"),
    "sum_integers": ("sum(terminal_id)", "sum(terminal_id)"),
    "avg": ("avg(amount)", "avg(amount)"),
    "min": ("min(amount)", "min(amount)"),
    "max": ("max(amount)", "max(amount)"),
    "var_samp": ("var_samp(amount)", "var_samp(amount)"),
    "var_pop": ("var_pop(amount)", "var_pop(amount)"),
    "stddev_samp": ("stddev_samp(amount)", "stddev_samp(amount)"),
    "stddev_pop": ("stddev_pop(amount)", "stddev_pop(amount)"),
    "first": ("first(amount)", "first(amount)"),
    "any_value": ("any_value(amount)", "any_value(amount)"),
    "last": ("last(amount)", "last(amount)"),
    "lag": ("lag(amount, 3)", None),
    "arg_min": ("arg_min(terminal_id, amount)", "arg_min(terminal_id, amount)"),
    "arg_max": ("arg_max(terminal_id, amount)", "arg_max(terminal_id, amount)"),
    "median": ("median(amount)", "median(amount)"),
    "quantile_cont": ("quantile_cont(amount, 0.9)", "quantile_cont(amount, 0.9)"),
    "mode": ("mode(terminal_id)", "mode(terminal_id)"),
    "skewness": ("skewness(amount)", "skewness(amount)"),
    "corr": ("corr(amount, terminal_id)", "corr(amount, terminal_id)"),
    "regr_slope": (f"regr_slope(amount, {ON_TIME})", f"regr_slope(amount, {ON_TIME})"),
    "ewm_mean": ("ewm_mean(amount, INTERVAL 1 DAY)", None),
    "list": ("list(amount, 10)", None),
    "approx_count_distinct": ("approx_count_distinct(terminal_id)", "approx_count_distinct(terminal_id)"),
    "top_k": ("approx_top_k(terminal_id, 3)", "approx_top_k(terminal_id, 3)"),
    "bool_and": ("bool_and(amount > 5)", "bool_and(amount > 5)"),
    "bool_or": ("bool_or(amount > 100)", "bool_or(amount > 100)"),
}
# A tie in these may be decided either way, and an estimate may be another one.
NOT_COMPARED = {"mode", "approx_count_distinct", "top_k", "arg_min", "arg_max"}


def aggregate(name, path, peers):
    value, other = AGGREGATES[name]
    where = folder()
    mine = ours("aggregate", path, RUNS, value, where)
    ns = [seconds * 1e9 / mine["rows"] for seconds in mine["seconds"]]
    if other is None:
        return row(f"kernel_aggregate_{name}", ns, "ns")
    peer = peers("aggregate", path, RUNS, other, os.path.join(where, "value"), mine["type"])
    equal = None if name in NOT_COMPARED else peer["equal"]
    return row(f"kernel_aggregate_{name}", ns, "ns", [seconds * 1e9 / mine["rows"] for seconds in peer["seconds"]], "DuckDB windows", equal=equal)


def run():
    names = [name for name in AGGREGATES if wanted(f"kernel_aggregate_{name}")]
    if not names:
        return []
    path = os.path.join(WORK, "data", "payments_tenth_apart.parquet")

    def peers(*arguments):
        return theirs("_kernel_aggregate_peers.py", *arguments)

    try:
        if not os.path.exists(path):
            peers("cut", payments(), path + ".new", CUSTOMERS)
            os.rename(path + ".new", path)
    except Exception as error:
        return [failure("kernel_aggregate", error)]
    rows = []
    for name in names:
        rows += measured(f"kernel_aggregate_{name}", lambda name=name: aggregate(name, path, peers))
    return rows
