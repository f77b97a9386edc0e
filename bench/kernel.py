"""The feature kernel against DuckDB's windows, pandas and Feast, on the card payments of examples/card_fraud and on generated views.

The parts are in files of their own: _kernel_fraud.py (the simulator's 15 features), _kernel_aggregates.py (each aggregate alone),
_kernel_pit.py (point-in-time joins), _kernel_online.py (pushes, queries, hot entities, state). KERNEL_ONLY=PREFIX runs the rows whose names begin so.
"""
import importlib
import importlib.util

PARTS = ("_kernel_fraud", "_kernel_aggregates", "_kernel_pit", "_kernel_online")


def run():
    rows = []
    for part in PARTS:
        if importlib.util.find_spec(part) is not None:
            rows += importlib.import_module(part).run()
    return rows
