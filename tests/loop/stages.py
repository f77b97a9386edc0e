"""All stages of the loop on the churn project, through the program alone: data to models to watching to learning again."""
import csv
import datetime
import math
import os

from harness import expect, expect_equal, new_project, nodes
import make_data

TRAINED = "2024-04-15"
LATER = "2024-04-19"
MUCH_LATER = "2024-04-29"


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "").replace("T", " "))


class Orders:
    """The orders as they were generated, by customer: the oracle of the features."""

    def __init__(self):
        self.by_customer = {}
        for _, customer, amount, _, ordered, recorded in make_data.make_rows()["orders"][1]:
            self.by_customer.setdefault(customer, []).append((ordered, recorded, float(amount)))

    def seen(self, customer, at, days):
        """What was known at a time of the days before it, by order time."""
        start = at - datetime.timedelta(days=days)
        return sorted((ordered, amount) for ordered, recorded, amount in self.by_customer.get(customer, [])
                      if start < ordered <= at and recorded <= at)


class Stages:
    """Tests in the order in which they must run; they share one project."""

    def __init__(self, folder):
        self.project = new_project(os.path.join(folder, "stages"))
        self.orders = Orders()

    def test_check_finds_nothing(self):
        expect_equal(self.project.run("check"), {"ok": True}, "check")

    def test_the_first_run_does_all_stages(self):
        summary = self.project.run("run", now=TRAINED)
        done = {step["asset"]: step["status"] for step in summary["steps"]}
        wanted = ["checkups", "customers", "orders", "accounts", "purchases", "questions", "account", "buying", "churn.requests", "churn",
                  "churn.scores"]
        expect_equal(done, {asset: "succeeded" for asset in wanted}, "steps")

    def test_good_rows_are_stored_and_exact_duplicates_cleaned(self):
        orders = make_data.make_rows()["orders"][1]
        expect_equal(self.project.rows("SELECT count(*) AS n FROM orders"), [{"n": len(orders) + 1}], "orders")
        known = sum(row[-1] <= instant(TRAINED) for row in orders)
        expect_equal(self.project.rows("SELECT count(*) AS n, count(DISTINCT order_id) AS d FROM purchases"), [{"n": known, "d": known}],
                     "purchases")

    def test_bad_rows_are_in_quarantine_with_reason_place_and_text(self):
        rows = self.project.run("quarantine", "orders")["rows"]
        expect_equal([row["raw"].split(",")[0] for row in rows], [row[0] for row in make_data.BAD_ORDERS], "rows in quarantine")
        for row, word in zip(rows, ["amount: -5.00", "'fax'", "no such day", "customer_id: missing"]):
            expect(word in row["reason"], f"the reason names {word}", row["reason"])
            with open(self.project.path(row["file"]), encoding="utf-8") as file:
                expect_equal(row["raw"], file.read().splitlines()[row["line"] - 1], "the raw text at the line named")

    def test_show_tells_rows_and_versions(self):
        shown = self.project.run("show", "purchases")
        expect_equal(shown["rows"], self.project.rows("SELECT count(*) AS n FROM purchases")[0]["n"], "rows shown")
        expect_equal([column["column"] for column in shown["columns"]][:3], ["order_id", "customer_id", "amount"], "columns shown")
        versions = self.project.run("show", "churn")
        expect_equal([(v["version"], v["status"], v["champion"]) for v in versions], [(1, "accepted", True)], "versions")
        expect(versions[0]["metrics"]["auc"] >= 0.65, "the gate's auc", str(versions[0]["metrics"]))

    def test_features_are_what_was_known_at_the_time(self):
        rows = self.project.rows("SELECT t.*, q.customer_id FROM training.churn AS t JOIN questions AS q USING (checkup_id)")
        expect(len(rows) > 4000, "thousands of training rows", str(len(rows)))
        late = 0
        for row in rows:
            at, customer = instant(row["checked_at"]), row["customer_id"]
            week, month, all_seen = (self.orders.seen(customer, at, days) for days in (7, 30, 60))
            got = [row["buying__" + name] for name in ("orders_7d", "orders_30d", "spent_7d", "spent_30d", "last_amount")]
            wanted = [len(week), len(month), math.fsum(a for _, a in week), math.fsum(a for _, a in month),
                      all_seen[-1][1] if all_seen else None]
            expect_equal(got, wanted, f"features of check-up {row['checkup_id']}")
            late += any(ordered <= at < recorded for ordered, recorded, _ in self.orders.by_customer.get(customer, []))
        expect(late > 100, "hundreds of rows for which an order was placed but not yet recorded", str(late))

    def test_labels_are_what_came_out(self):
        for row in self.project.rows("SELECT t.checkup_id, t.checked_at, t.label, t.label_known_at, q.customer_id FROM training.churn AS t "
                                     "JOIN questions AS q USING (checkup_id)"):
            at, until = instant(row["checked_at"]), instant(row["label_known_at"])
            expect(until <= instant(TRAINED), "a label known at the training", str(row))
            ordered = any(at < when <= at + datetime.timedelta(days=14) and recorded <= until
                          for when, recorded, _ in self.orders.by_customer.get(row["customer_id"], []))
            expect_equal(row["label"], not ordered, f"label of check-up {row['checkup_id']}")

    def test_a_second_run_does_nothing(self):
        expect_equal(self.project.run("plan", now=TRAINED), [], "plan")
        expect_equal(self.project.run("run", now=TRAINED)["nothing_to_do"], True, "nothing to do")

    def test_later_the_live_version_scores_and_is_monitored(self):
        summary = self.project.run("run", now=LATER)
        done = {step["asset"]: step["status"] for step in summary["steps"]}
        expect_equal((done.get("churn.scores"), done.get("churn.monitor"), done.get("churn")), ("succeeded", "succeeded", None), "steps")
        days = self.project.rows("SELECT checkup_id FROM questions WHERE checked_at > TIMESTAMP '2024-04-14'")
        scores = self.project.rows("SELECT checkup_id, score, model_version FROM scores.churn")
        expect_equal(sorted(row["checkup_id"] for row in scores), sorted(row["checkup_id"] for row in days), "check-ups scored, each once")
        expect(all(0 < row["score"] < 1 and row["model_version"] == 1 for row in scores), "scores between 0 and 1 by version 1")

    def test_predict_by_key_equals_the_batch_score(self):
        batch = self.project.rows("SELECT checkup_id, score, predicted_at FROM scores.churn ORDER BY predicted_at DESC, checkup_id LIMIT 3")
        for row in batch:
            answer = self.project.run("predict", "churn", '{"checkup_id": %d}' % row["checkup_id"], now=LATER)["predictions"][0]
            expect_equal((answer["score"], answer["at"]), (row["score"], row["predicted_at"]), "online answer")
            self.prediction = answer["prediction_id"]
            self.predicted = row["checkup_id"]

    def test_online_features_equal_batch(self):
        report = self.project.run("features", "verify", "churn", "--sample", "0", now=LATER)
        expect(report["rows"] > 20 and report["rows_different"] == 0, "all rows equal", str(report))

    def test_a_prediction_leads_back_to_its_source_rows(self):
        spine = self.project.rows(f"SELECT customer_id, checked_at FROM questions WHERE checkup_id = {self.predicted}")[0]
        tree = self.project.run("lineage", self.prediction)
        buying = [node for node in nodes(tree) if node["kind"] == "rows" and node["name"] == "purchases"]
        expect_equal(len(buying), 1, "nodes with the rows of purchases")
        sources = [node for node in nodes(buying[0]) if node["kind"] == "source row"]
        found = []
        for node in sources:
            with open(self.project.path(node["file"]), encoding="utf-8", newline="") as file:
                row = list(csv.reader(file))[node["record"]]
            expect_equal(int(row[1]), spine["customer_id"], f"customer of {node['name']}")
            found.append((instant(row[4]), float(row[2])))
        expect_equal(sorted(found), self.orders.seen(spine["customer_id"], instant(spine["checked_at"]), 60), "source rows")

    def test_lineage_of_a_version_and_a_column(self):
        names = {node["name"] for node in nodes(self.project.run("lineage", "churn@1"))}
        expect({"churn@1", "training.churn", "questions", "orders", "customers", "checkups"} <= names, "what a version came from", str(names))
        names = {node["name"] for node in nodes(self.project.run("lineage", "orders.amount"))}
        expect({"purchases.amount", "buying.spent_7d", "churn.buying__spent_7d"} <= names, "what depends on a column", str(names))

    def test_a_version_is_rebuilt_byte_for_byte(self):
        report = self.project.run("models", "reproduce", "churn@1")
        expect(report["equal"] and report["differences"] == [], "equal", str(report))
        expect_equal(report["package_sha256_rebuilt"], self.project.champion()["package_sha256"], "package")

    def test_replay_rehearses_weeks_and_leaves_production_alone(self):
        before = self.project.run("models", "list", "churn")
        snapshots = self.project.run("lake", "snapshots", "--limit", "0")
        report = self.project.run("replay", "--from", "2024-04-08", "--until", "2024-04-29", "--every", "7d", now=MUCH_LATER)
        expect_equal((report["ticks"], [month["month"] for month in report["months"]]), (4, ["2024-04"]), "ticks and months")
        expect(report["retrainings"] >= 1 and "model.age_days >= 14" in str(report["months"]), "a retraining for its reason", str(report))
        expect_equal(self.project.run("models", "list", "churn"), before, "production's versions")
        expect_equal(self.project.run("lake", "snapshots", "--limit", "0"), snapshots, "production's lake")

    def test_the_condition_retrains(self):
        summary = self.project.run("run", now=MUCH_LATER)
        trained = [step for step in summary["steps"] if step["asset"] == "churn"]
        expect(len(trained) == 1 and "model.age_days >= 14" in trained[0]["reason"], "one training, for the age", str(summary))
        expect_equal([v["version"] for v in self.project.run("models", "list", "churn")], [1, 2], "versions")
        expect(self.project.run("models", "reproduce", "churn@1")["equal"], "version 1 is rebuilt also after version 2")

    def test_the_report_is_one_page(self):
        answer = self.project.run("report", "--out", "page.html", now=MUCH_LATER)
        with open(self.project.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        expect_equal(len(page.encode()), answer["bytes"], "bytes")
        expect(page.lstrip().lower().startswith("<!doctype html") and "churn" in page, "an HTML page about the model", page[:80])
