"""Tables in Python: the churn project with two of its tables rewritten gives the same lake, and what a run finds to do with them."""
import os

from harness import expect, expect_equal, lake_digest, new_project

NOW = "2024-04-19"

ACCOUNTS = '''"""When a customer joined, as an event."""


def table(customers):
    return customers.select(["customer_id", "country", "plan", "joined_at", "_seq", "_known_at"])
'''

ACCOUNTS_YAML = '''key: [customer_id]
timestamp: joined_at
known_at: joined_at
columns: {customer_id: integer, country: text, plan: text, joined_at: timestamp}
keeps_rows: true
'''

PURCHASES = '''from shared.duplicates import without_duplicates


def table(orders):
    return without_duplicates(orders, ["order_id", "customer_id", "amount", "channel", "ordered_at", "recorded_at"])
'''

DUPLICATES = '''# Equal rows become one: the first that came, known since the last of them was.
def without_duplicates(rows, columns):
    grouped = rows.group_by(columns).aggregate([("_seq", "min"), ("_known_at", "max")])
    return grouped.rename_columns([{"_seq_min": "_seq", "_known_at_max": "_known_at"}.get(name, name) for name in grouped.column_names])
'''

BY_COUNTRY = '''import pyarrow.compute as pc


def table(accounts, purchases):
    rows = purchases.join(accounts.select(["customer_id", "country"]), "customer_id", join_type="inner")
    rows = rows.append_column("day", pc.floor_temporal(rows["recorded_at"], unit="day"))
    days = rows.group_by(["country", "day"]).aggregate([("amount", "max"), ("amount", "count")])
    return days.rename_columns(["country", "day", "largest", "orders"])
'''

BY_COUNTRY_YAML = '''key: [country, day]
columns: {country: text, day: timestamp, largest: number, orders: integer}
'''

BY_COUNTRY_SQL = """SELECT a.country, date_trunc('day', p.recorded_at) AS day, max(p.amount) AS largest, count(*) AS orders
FROM purchases AS p JOIN accounts AS a USING (customer_id) GROUP BY ALL ORDER BY ALL"""


class PythonTables:
    def __init__(self, folder):
        self.in_sql = new_project(os.path.join(folder, "sql"))
        self.in_python = new_project(os.path.join(folder, "python"))
        for name in ["accounts.sql", "purchases.sql"]:
            os.remove(self.in_python.path("tables", name))
        self.write("tables/accounts.py", ACCOUNTS)
        self.write("tables/accounts.yaml", ACCOUNTS_YAML)
        self.write("tables/purchases.py", PURCHASES)
        self.write("tables/purchases.yaml", "key: [order_id]\ntimestamp: ordered_at\nknown_at: recorded_at\nkeeps_rows: true\n"
                   "columns:\n  {order_id: integer, customer_id: integer, amount: number, channel: text, ordered_at: timestamp,"
                   " recorded_at: timestamp}\n")
        self.write("shared/duplicates.py", DUPLICATES)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.in_python.path(name)), exist_ok=True)
        with open(self.in_python.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def plan(self):
        return {step["asset"]: step for step in self.in_python.run("plan", now=NOW)}

    def test_check_needs_no_python(self):
        self.in_python.edit("tidemill.yaml", "threads: 2", "threads: 2\npython: /nowhere/python3")
        self.in_python.run("check")
        self.in_python.edit("tidemill.yaml", "python: /nowhere/python3", "")

    def test_the_lake_is_that_of_the_tables_in_sql(self):
        self.in_sql.run("run", now=NOW)
        self.in_python.run("run", now=NOW)
        expect_equal(lake_digest(self.in_python), lake_digest(self.in_sql), "rows, training set and scores")

    def test_nothing_is_left_to_do(self):
        expect_equal(self.plan(), {}, "plan")

    def test_comments_and_layout_do_not_count(self):
        self.in_python.edit("tables/purchases.py", "def table(orders):", "# Each once.\n\ndef table( orders ):  # as they came\n")
        self.in_python.edit("shared/duplicates.py", "# Equal rows", "# Rows that are equal")
        expect_equal(self.plan(), {}, "plan")

    def test_an_imported_file_and_pinned_packages_count(self):
        before = open(self.in_python.path("shared/duplicates.py"), encoding="utf-8").read()
        self.in_python.edit("shared/duplicates.py", '("_seq", "min")', '("_seq", "max")')
        steps = self.plan()
        expect_equal((steps["purchases"]["state"], "shared/duplicates.py" in steps["purchases"]["reason"]), ("stale", True), "the reason")
        expect("accounts" not in steps, "a table that doesn't import it stays", str(sorted(steps)))
        self.write("shared/duplicates.py", before)
        self.write("requirements.txt", "pyarrow==26.0.1\n")
        expect("requirements.txt" in self.plan()["accounts"]["reason"], "the reason names the file", str(self.plan()))
        os.remove(self.in_python.path("requirements.txt"))
        expect_equal(self.plan(), {}, "plan")

    def test_the_model_is_reproduced(self):
        self.write("tables/accounts.py", "def table(customers):\n    raise ValueError('the files of today do not count')\n")
        answer = self.in_python.run("models", "reproduce", "churn@1")
        expect(answer["equal"], "byte for byte equal", str(answer))
        self.write("tables/accounts.py", ACCOUNTS)

    def test_lineage_goes_through(self):
        tree = str(self.in_python.run("lineage", "orders.amount"))
        expect("purchases.channel" in tree and "computed by Python" in tree, "columns depend on all that is read", tree[:500])

    def test_made_rows_are_those_of_sql_and_stay_themselves(self):
        self.write("tables/days.py", BY_COUNTRY)
        self.write("tables/days.yaml", BY_COUNTRY_YAML)
        self.in_python.run("run", "days", now=NOW)
        made = "SELECT country, day, largest, orders FROM days ORDER BY ALL"
        expect_equal(self.in_python.rows(made), self.in_python.rows(BY_COUNTRY_SQL), "rows")
        seqs = self.in_python.rows("SELECT _seq FROM days ORDER BY ALL")
        expect_equal(len({row["_seq"] for row in seqs}), len(seqs), "numbers of rows")
        kept = self.in_python.rows("SELECT country, day, _seq FROM days WHERE country = 'DE' ORDER BY ALL")
        expect(kept and all(row["_seq"] < 0 for row in seqs), "made rows have numbers of their own", str(seqs[:3]))
        self.in_python.edit("tables/days.py", "    return", "    days = days.filter(pc.equal(days['country'], 'DE'))\n    return")
        self.in_python.run("run", "days", now=NOW)
        expect_equal(self.in_python.rows("SELECT country, day, _seq FROM days ORDER BY ALL"), kept, "what stays")

    def test_a_model_can_not_read_rows_that_nobody_knows_the_time_of(self):
        self.in_python.edit("models/churn.yaml", "spine: questions", "spine: days")
        answer = self.in_python.try_run("check")
        expect_equal(answer.error["code"], "python_without_known_at", "the error")
