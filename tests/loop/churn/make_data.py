"""Writes the churn project's CSV files, the same every time: make_data.py FOLDER"""
import csv
import datetime
import os
import random
import sys

START = datetime.datetime(2024, 1, 1)
DAYS = 120
END = START + datetime.timedelta(days=DAYS)
CUSTOMERS = 400
ORDERS_HEADER = ["order_id", "customer_id", "amount", "channel", "ordered_at", "recorded_at"]
# Each breaks the contract in one way: a negative amount, a channel that there is none, a day that does not exist, no customer.
BAD_ORDERS = [
    ["900001", "1", "-5.00", "app", "2024-01-20 10:00:00", "2024-01-20 10:00:00"],
    ["900002", "2", "10.00", "fax", "2024-01-21 10:00:00", "2024-01-21 10:00:00"],
    ["900003", "3", "10.00", "web", "2024-02-30 10:00:00", "2024-03-01 10:00:00"],
    ["900004", "", "10.00", "web", "2024-01-23 10:00:00", "2024-01-23 10:00:00"],
]


def delay(dice):
    """How long until an order is recorded: mostly at once, some hours or days later."""
    kind = dice.random()
    if kind < 0.85:
        return datetime.timedelta(seconds=dice.randrange(60))
    if kind < 0.95:
        return datetime.timedelta(minutes=dice.randrange(60, 1440))
    return datetime.timedelta(days=dice.randrange(1, 6), minutes=dice.randrange(1440))


def make_rows():
    """Tables by name: (header, rows), rows of orders by the time when they were recorded."""
    dice = random.Random(7)
    customers, orders, checkups = [], [], []
    for customer in range(1, CUSTOMERS + 1):
        joined = START - datetime.timedelta(days=dice.randrange(-40, 300), minutes=dice.randrange(1440))
        plan = dice.choice(["free", "basic", "gold"])
        customers.append([customer, dice.choice(["DE", "FR", "IT", "PL"]), plan, joined])
        gap_days = {"free": 4.8, "basic": 2.9, "gold": 1.9}[plan] * dice.uniform(0.5, 2)
        leaves = START + datetime.timedelta(days=dice.expovariate(1 / 200))
        at = max(START, joined)
        while True:
            at += datetime.timedelta(seconds=int(86400 * dice.expovariate(1 / gap_days)))
            if at >= min(END, leaves):
                break
            amount = f"{dice.uniform(5, 300 if plan == 'gold' else 120):.2f}"
            orders.append([customer, amount, dice.choice(["app", "web"]), at, at + delay(dice)])
        first = max(START, joined)
        day = START + datetime.timedelta(hours=6, days=customer % 7)
        while day < END:
            if day > first:
                checkups.append([customer, day])
            day += datetime.timedelta(days=7)
    orders.sort(key=lambda row: (row[4], row[0]))
    checkups.sort(key=lambda row: (row[1], row[0]))
    return {
        "customers": (["customer_id", "country", "plan", "joined_at"], customers),
        "orders": (ORDERS_HEADER, [[number, *row] for number, row in enumerate(orders, 1)]),
        "checkups": (["checkup_id", "customer_id", "checked_at"], [[number, *row] for number, row in enumerate(checkups, 1)]),
    }


def write(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def write_project_data(folder, known_until=None):
    """All rows, or only those that were known by `known_until`, in the folder's data/."""
    data = os.path.join(folder, "data")
    os.makedirs(data, exist_ok=True)
    tables = {}
    for name, (header, rows) in make_rows().items():
        # The last column tells when a row became known.
        tables[name] = (header, [row for row in rows if known_until is None or row[-1] <= known_until])
    write(os.path.join(data, "customers.csv"), *tables["customers"])
    write(os.path.join(data, "checkups.csv"), *tables["checkups"])
    header, orders = tables["orders"]
    half = len(orders) // 2
    # The first file has an exact duplicate, the second one the bad rows.
    write(os.path.join(data, "orders-1.csv"), header, orders[:half] + orders[10:11])
    write(os.path.join(data, "orders-2.csv"), header, orders[half:] + BAD_ORDERS)


if __name__ == "__main__":
    write_project_data(sys.argv[1])
