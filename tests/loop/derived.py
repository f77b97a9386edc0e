"""Derived views in the churn project: trained on, scored, asked for and traced, with the arithmetic done again in Python."""
import os

from harness import expect, expect_equal, new_project, nodes

TRAINED = "2024-04-15"
LATER = "2024-04-19"

TREND = """request: {country: text}
uses: [buying, account]
features:
  weekly_share: {value: buying.spent_7d / buying.spent_30d, default: 0.25}
  usual:        {value: (buying.last_amount - buying.basket_30d) / buying.basket_30d}
  loyal_here:   {value: country = 'DE' AND account.joined > 0}
"""
ALARM = """uses: [{view: trend, as: so_far}, buying]
features:
  quiet: {value: so_far.weekly_share < 0.2 AND buying.orders_30d > 2}
"""


class Derived:
    """Tests in the order in which they must run; they share one project."""

    def __init__(self, folder):
        self.project = new_project(os.path.join(folder, "derived"))
        for name, text in {"trend": TREND, "alarm": ALARM}.items():
            with open(self.project.path("features", name + ".yaml"), "w", encoding="utf-8") as file:
                file.write(text)
        self.project.edit("models/churn.yaml", "[buying.*, account.joined, account.plan, country, plan]",
                          "[buying.*, account.joined, account.plan, trend.*, alarm.*, {gap: buying.spent_7d - buying.basket_30d}, country, plan]")

    def steps(self, now):
        return {step["asset"]: (step["action"], step["reason"]) for step in self.project.run("plan", now=now)}

    def test_the_training_set_holds_what_its_parts_say(self):
        done = {step["asset"]: step["status"] for step in self.project.run("run", now=TRAINED)["steps"]}
        expect_equal((done["trend"], done["alarm"], done["churn"]), ("succeeded",) * 3, "steps")
        rows = self.project.rows("SELECT * FROM training.churn")
        expect(len(rows) > 4000, "thousands of rows", str(len(rows)))
        defaults = 0
        for row in rows:
            week, month, basket, last = (row["buying__" + name] for name in ("spent_7d", "spent_30d", "basket_30d", "last_amount"))
            share = week / month if month else 0.25
            defaults += not month
            usual = None if last is None or basket is None else (last - basket) / basket
            wanted = (share, usual, row["country"] == "DE" and row["account__joined"] > 0, share < 0.2 and row["buying__orders_30d"] > 2,
                      None if basket is None else week - basket)
            got = tuple(row[name] for name in ("trend__weekly_share", "trend__usual", "trend__loyal_here", "alarm__quiet", "gap"))
            expect_equal(got, wanted, f"derived features of check-up {row['checkup_id']}")
        expect(0 < defaults < len(rows), "rows with and without orders", str(defaults))

    def test_batch_scores_and_predictions_are_equal(self):
        self.project.run("run", now=LATER)
        report = self.project.run("features", "verify", "churn", "--sample", "0", now=LATER)
        expect(report["rows"] > 20 and report["rows_different"] == 0, "all rows equal", str(report))
        row = self.project.rows("SELECT * FROM scores.churn ORDER BY predicted_at DESC, checkup_id LIMIT 1")[0]
        answer = self.project.run("predict", "churn", '{"checkup_id": %d}' % row["checkup_id"], now=LATER)["predictions"][0]
        expect_equal(answer["score"], row["score"], "online score")
        customer = self.project.rows(f"SELECT customer_id FROM questions WHERE checkup_id = {row['checkup_id']}")[0]["customer_id"]
        asked = '{"customer_id": %d, "country": "%s"}' % (customer, row["country"])
        got = self.project.run("features", "get", "trend", asked, "--at", row["predicted_at"], now=LATER)["results"][0]
        expect_equal(got, {"found": True, "features": {name: row["trend__" + name] for name in ("weekly_share", "usual", "loyal_here")}},
                     "features by themselves")
        self.prediction = row["prediction_id"]

    def test_joined_to_any_spine_they_are_those_of_the_training_set(self):
        spine = ("SELECT _seq AS number, checkup_id, customer_id, country, checked_at FROM questions "
                 "WHERE _seq IN (SELECT _seq FROM training.churn)")
        report = self.project.run("features", "join", "--spine", spine, "--time", "checked_at", "--views", "alarm,buying,trend", "--output", "joined",
                                  now=LATER)
        names = [column["name"] for column in report["columns"]]
        features = [f"buying__{name}" for name in ("orders_7d", "orders_30d", "spent_7d", "spent_30d", "basket_7d", "basket_30d", "last_amount")]
        derived = ["trend__weekly_share", "trend__usual", "trend__loyal_here"]
        expect_equal(names, ["number", "checkup_id", "customer_id", "country", "checked_at", "alarm__quiet", *features, *derived], "columns")
        compared = " AND ".join(f"j.{name} IS NOT DISTINCT FROM t.{name}" for name in ["alarm__quiet", *features, *derived])
        counts = self.project.rows(f"SELECT count(*) AS n, count_if({compared}) AS same FROM features.joined j JOIN training.churn t ON j.number = t._seq")[0]
        expect(counts["n"] > 4000 and counts["same"] == counts["n"], "all rows equal those of the training set", str(counts))

    def test_joins_of_derived_views_say_what_they_lack(self):
        answer = self.project.try_run("features", "join", "--at", "2024-04-01", "--views", "trend", now=LATER)
        expect_equal((answer.code, answer.error["code"]), (1, "derived_view"), "without a spine")
        expect("country" in answer.error["hint"] and "customer_id" in answer.error["hint"], "the hint names the columns", str(answer.error))
        for spine, code in (("SELECT customer_id, checked_at FROM questions", "unknown_column"),
                            ("SELECT customer_id, 5 AS country, checked_at FROM questions", "wrong_type"),
                            ("SELECT customer_id, country, 1 AS trend__usual, checked_at FROM questions", "duplicate_column")):
            answer = self.project.try_run("features", "join", "--spine", spine, "--time", "checked_at", "--views", "trend", now=LATER)
            expect_equal((answer.code, answer.error["code"]), (1, code), f"{spine}: {answer.error}")

    def test_lineage_goes_through_derived_views_both_ways(self):
        names = {node["name"] for node in nodes(self.project.run("lineage", "orders.amount"))}
        wanted = {"buying.spent_7d", "trend.weekly_share", "alarm.quiet", "churn.trend__weekly_share", "churn.alarm__quiet", "churn.gap"}
        expect(wanted <= names, "what depends on a column", str(wanted - names))
        names = {node["name"] for node in nodes(self.project.run("lineage", "questions.country"))}
        expect({"churn.trend__loyal_here", "churn.country"} <= names and "churn.trend__usual" not in names, "what reads a field", str(names))
        tree = list(nodes(self.project.run("lineage", self.prediction)))
        kinds = {(node["kind"], node["name"]) for node in tree}
        expect({("derived view", "trend"), ("derived view", "alarm"), ("feature view", "buying"), ("field", "country")} <= kinds,
               "a prediction's views", str(kinds))

    def test_a_version_is_rebuilt_byte_for_byte(self):
        report = self.project.run("models", "reproduce", "churn@1")
        expect(report["equal"] and report["differences"] == [], "equal", str(report))

    def test_a_change_reaches_what_is_derived_and_nothing_beside(self):
        expect_equal(self.steps(LATER), {}, "nothing to do")
        self.project.edit("features/trend.yaml", "features:", "# the same\nfeatures:")
        expect_equal(self.steps(LATER), {}, "a comment changes nothing")
        self.project.edit("features/trend.yaml", "default: 0.25", "default: 0.5")
        steps = self.steps(LATER)
        expect_equal({asset: action for asset, (action, _) in steps.items()}, {"trend": "publish", "alarm": "publish", "churn": "train"}, "steps")
        expect("0.25 -> 0.5" in steps["trend"][1] and "input trend is stale" in steps["alarm"][1], "reasons", str(steps))

    def test_a_field_that_tells_the_label_is_refused(self):
        self.project.edit("features/trend.yaml", "{country: text}", "{gone: text}")
        answer = self.project.try_run("check")
        expect_equal((answer.code, answer.error["code"]), (1, "label_leak"), "check")
