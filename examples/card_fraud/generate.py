"""The card payments of the Fraud Detection Handbook's simulator, written anew: 5,000 customers, 10,000 terminals, 183 days from 2018-04-01.

generate.py FILE.parquet [DAYS] needs the packages of bench/peers.txt, and prints how many rows and frauds of each kind there are. Equal numbers everywhere need NumPy's legacy generator, which draws in the
order of the calls below; the order of draws is part of the format.
"""
import random
import sys

import duckdb
import numpy
import pandas

CUSTOMERS = 5_000
TERMINALS = 10_000
DAYS = 183
RADIUS = 5.0
DAY_S = 86_400
FIRST_DAY = "2018-04-01"
FRAUD_1_ABOVE = 220.0


def customers():
    """(x, y, mean amount, payments a day) of each."""
    numpy.random.seed(0)
    rows = []
    for _ in range(CUSTOMERS):
        x, y = numpy.random.uniform(0, 100), numpy.random.uniform(0, 100)
        rows.append((x, y, numpy.random.uniform(5, 100), numpy.random.uniform(0, 4)))
    return rows


def terminals():
    numpy.random.seed(1)
    return numpy.array([(numpy.random.uniform(0, 100), numpy.random.uniform(0, 100)) for _ in range(TERMINALS)])


def payments_of(customer, mean, per_day, near, days):
    """(second, customer, terminal, amount), in the order drawn."""
    random.seed(customer)
    numpy.random.seed(customer)
    rows = []
    for day in range(days):
        for _ in range(numpy.random.poisson(per_day)):
            second = int(numpy.random.normal(DAY_S / 2, 20_000))
            if not 0 < second < DAY_S:
                continue
            amount = numpy.random.normal(mean, mean / 2)
            if amount < 0:
                amount = numpy.random.uniform(0, mean * 2)
            if near:
                rows.append((day * DAY_S + second, customer, random.choice(near), numpy.round(amount, decimals=2)))
    return rows


def payments(days=DAYS):
    places = terminals()
    rows = []
    for customer, (x, y, mean, per_day) in enumerate(customers()):
        distance = numpy.sqrt(((places - (x, y)) ** 2).sum(axis=1))
        near = numpy.flatnonzero(distance < RADIUS).tolist()
        rows += payments_of(customer, mean, per_day, near, days)
    frame = pandas.DataFrame(rows, columns=["second", "customer_id", "terminal_id", "amount"])
    # Equal times keep the order drawn, which no processor's way of sorting changes.
    return frame.sort_values("second", kind="stable").reset_index(drop=True)


def add_frauds(frame):
    """Three kinds: large amounts; terminals that are compromised for 28 days; customers that are for 14, a third of whose payments are five times as large."""
    day = (frame.second // DAY_S).to_numpy()
    frame["fraud"] = 0
    frame["scenario"] = 0
    large = frame.amount > FRAUD_1_ABOVE
    frame.loc[large, ["fraud", "scenario"]] = 1
    all_terminals = pandas.Series(range(TERMINALS))
    all_customers = pandas.Series(range(CUSTOMERS))
    terminal, customer = frame.terminal_id.to_numpy(), frame.customer_id.to_numpy()
    for first in range(day.max()):
        chosen = all_terminals.sample(n=2, random_state=first).to_numpy()
        hit = numpy.flatnonzero((day >= first) & (day < first + 28) & numpy.isin(terminal, chosen))
        frame.loc[hit, "fraud"] = 1
        frame.loc[hit, "scenario"] = 2
    for first in range(day.max()):
        chosen = all_customers.sample(n=3, random_state=first).to_numpy()
        hit = numpy.flatnonzero((day >= first) & (day < first + 14) & numpy.isin(customer, chosen)).tolist()
        random.seed(first)
        picked = random.sample(hit, k=len(hit) // 3)
        frame.loc[picked, "amount"] = frame.loc[picked, "amount"] * 5
        frame.loc[picked, "fraud"] = 1
        frame.loc[picked, "scenario"] = 3


def write(frame, path):
    frame["transaction_id"] = frame.index
    connection = duckdb.connect()
    connection.register("payments", frame)
    connection.execute(f"""
        COPY (SELECT transaction_id, TIMESTAMP '{FIRST_DAY}' + to_seconds(second) AS paid_at, CAST(customer_id AS BIGINT) AS customer_id,
                     CAST(terminal_id AS BIGINT) AS terminal_id, amount, CAST(fraud AS BIGINT) AS fraud, CAST(scenario AS BIGINT) AS scenario
              FROM payments ORDER BY transaction_id) TO '{path}' (FORMAT parquet)""")


def main():
    frame = payments(int(sys.argv[2]) if len(sys.argv) > 2 else DAYS)
    add_frauds(frame)
    write(frame, sys.argv[1])
    kinds = frame.scenario.value_counts()
    print(len(frame), *(int(kinds.get(kind, 0)) for kind in (1, 2, 3)))


if __name__ == "__main__":
    main()
