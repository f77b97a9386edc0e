"""The card_fraud example on a few thousand payments: features to the bit, models trained, judged, live and asked. Figures beside published ones
come from all its payments: make bench ONLY=card_fraud."""
import bisect
import collections
import datetime
import math
import os
import random
import shutil
import sys

from harness import DEPS, ROOT, ChurnProject, expect, expect_equal

sys.path.insert(0, os.path.join(DEPS, "python"))
import pyarrow  # noqa: E402
import pyarrow.parquet  # noqa: E402

FIRST_DAY = datetime.datetime(2018, 4, 1)
DAYS = range(80, 143)  # up to the project's clock
CUSTOMERS, TERMINALS = 150, 100
LEFT_OUT = ("forest", "tree", "tree_depth_2")  # two models show what there is to see
WEEK = datetime.timedelta(days=7)
TYPES = [("transaction_id", pyarrow.int64()), ("paid_at", pyarrow.timestamp("us")), ("customer_id", pyarrow.int64()),
         ("terminal_id", pyarrow.int64()), ("amount", pyarrow.float64()), ("fraud", pyarrow.int64()), ("scenario", pyarrow.int64())]


def make_payments():
    """Rows in the order of their time: customers with habits, terminals that are compromised for a while, large amounts."""
    dice = random.Random(11)
    usual = [(dice.uniform(5, 100), dice.uniform(0, 4)) for _ in range(CUSTOMERS)]
    bad = {(dice.randrange(TERMINALS), day + age) for day in DAYS for age in range(14) if age or dice.random() < 0.2}
    rows = []
    for day in DAYS:
        for customer, (mean, per_day) in enumerate(usual):
            for _ in range(round(dice.uniform(0, 2 * per_day))):
                at = FIRST_DAY + datetime.timedelta(days=day, seconds=dice.randrange(86_400))
                terminal, amount = dice.randrange(TERMINALS), round(abs(dice.gauss(mean, mean / 2)), 2)
                scenario = 1 if amount > 190 else 2 if (terminal, day) in bad and dice.random() < 0.3 else 0
                rows.append((at, customer, terminal, amount * (3 if scenario == 2 else 1), int(scenario > 0), scenario))
    rows.sort(key=lambda row: row[0])
    return [(number, *row) for number, row in enumerate(rows)]


def means(times, values, at, days):
    """How many, and their mean, in (at - days, at]; a sum that is rounded once."""
    begin, end = (bisect.bisect_right(times, moment) for moment in (at - datetime.timedelta(days=days), at))
    return end - begin, math.fsum(values[begin:end]) / (end - begin) if end > begin else None


class CardFraud:
    """Tests in the order in which they must run."""

    def __init__(self, folder):
        self.project = ChurnProject(os.path.join(folder, "card_fraud"))
        shutil.copytree(os.path.join(ROOT, "examples", "card_fraud"), self.project.folder, ignore=shutil.ignore_patterns("data", ".tidemill"))
        for model in LEFT_OUT:
            os.remove(self.project.path("models", model + ".yaml"))
        for model in ("logistic", "boosted"):
            self.project.edit(f"models/{model}.yaml", "k: 100", "k: 10")  # of fewer customers
        self.payments = make_payments()
        os.makedirs(self.project.path("data"))
        columns = [pyarrow.array(column, kind) for column, (_, kind) in zip(zip(*self.payments), TYPES)]
        pyarrow.parquet.write_table(pyarrow.table(columns, names=[name for name, _ in TYPES]), self.project.path("data", "payments.parquet"))

    def test_everything_is_made(self):
        done = {step["asset"]: step["status"] for step in self.project.run("run")["steps"]}
        expect(set(done.values()) == {"succeeded"} and {"logistic", "boosted", "terminal_risk"} <= set(done), "all steps", str(done))
        expect_equal(self.project.run("plan"), [], "plan afterwards")

    def test_features_are_those_of_plain_python(self):
        spending, risk = collections.defaultdict(lambda: ([], [])), collections.defaultdict(lambda: ([], []))
        for _, at, customer, terminal, amount, fraud, _ in self.payments:
            for series, value, when in ((spending[customer], amount, at), (risk[terminal], fraud, at + WEEK)):
                series[0].append(when)
                series[1].append(value)
        rows = self.project.rows("SELECT t.*, w.terminal_id FROM training.boosted AS t JOIN watched_payments AS w USING (_seq)")
        expect(len(rows) > 1000, "rows of the training set", str(len(rows)))
        for row in rows:
            at = datetime.datetime.fromisoformat(row["paid_at"].replace("Z", ""))
            for days in (1, 7, 30):
                count, mean = means(*spending[row["customer_id"]], at, days)
                reports, share = means(*risk[row["terminal_id"]], at, days)
                got = tuple(row[f"{name}_{days}d"] for name in ("customer_spending__payments", "customer_spending__mean_amount",
                                                                "terminal_risk__reports", "terminal_risk__fraud_share"))
                expect_equal(got, (count, mean, reports, share or 0), f"features of payment {row['transaction_id']} over {days} days")

    def test_models_are_judged_and_live(self):
        for model in ("logistic", "boosted"):
            versions = self.project.run("models", "list", model)
            expect_equal([version["champion"] for version in versions], [True], f"champion of {model}")
            metrics = versions[0]["metrics"]
            expect(metrics["auc"] > 0.6 and metrics["positives"] > 20, f"what {model} has learned", str(metrics))
            report = self.project.run("features", "verify", model, "--sample", "200")
            expect_equal(report["rows_different"], 0, f"online features of {model}")
            row = self.project.rows(f"SELECT * FROM scores.{model} ORDER BY paid_at DESC, transaction_id LIMIT 1")[0]
            asked = '{"transaction_id": %d, "customer_id": %d}' % (row["transaction_id"], row["customer_id"])
            answer = self.project.run("predict", model, asked)["predictions"][0]
            expect_equal(answer["score"], row["score"], f"score of {model} for {asked}")
