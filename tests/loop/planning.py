"""What a run finds to do, and what stops it."""
import os
import sqlite3
import subprocess

from harness import Answer, TIMEOUT_SECONDS, environment, expect, expect_equal, lake_digest, new_project

NOW = "2024-04-19"


class Planning:
    def __init__(self, folder):
        self.folder = folder
        self.fresh_count = 0
        self.finished = new_project(os.path.join(folder, "finished"))
        self.finished.run("run", now=NOW)

    def folder_named(self, what):
        self.fresh_count += 1
        return os.path.join(self.folder, f"{what}{self.fresh_count}")

    def fresh(self):
        return new_project(self.folder_named("fresh"))

    def copy(self):
        return self.finished.copy_to(self.folder_named("copy"))

    def test_after_a_run_there_is_nothing_to_do(self):
        expect_equal(self.finished.run("plan", now=NOW), [], "plan")

    def test_a_copied_project_has_nothing_to_do(self):
        expect_equal(self.copy().run("plan", now=NOW), [], "plan")

    def test_comments_and_layout_do_not_count(self):
        project = self.copy()
        project.edit("tables/purchases.sql", "SELECT order_id, customer_id,", "-- Another comment.\nSELECT order_id,\n  customer_id,")
        project.edit("features/buying.yaml", "ttl: 60d", "# How long they count.\nttl:   60d")
        project.edit("sources/orders.yaml", "key: [order_id]", "key: [order_id]   # unique")
        project.edit("models/churn.yaml", "gates:", "# What a version must reach.\ngates:")
        expect_equal(project.run("plan", now=NOW), [], "plan")

    def test_files_touched_do_not_count(self):
        project = self.copy()
        os.utime(project.path("data", "orders-1.csv"))
        os.utime(project.path("tables", "purchases.sql"))
        expect_equal(project.run("plan", now=NOW), [], "plan")

    def test_a_changed_window_makes_its_view_and_its_model_stale(self):
        project = self.copy()
        project.edit("features/buying.yaml", "orders:      {value: count(*), windows: [7d, 30d]", "orders:      {value: count(*), windows: [7d, 28d]")
        steps = {step["asset"]: step for step in project.run("plan", now=NOW)}
        expect("buying" in steps and "churn" in steps, "the view and the model are planned", str(sorted(steps)))
        expect(all(asset == "buying" or asset.split(".")[0] == "churn" for asset in steps), "nothing else is", str(sorted(steps)))
        expect_equal((steps["buying"]["state"], steps["churn"]["state"]), ("stale", "stale"), "states")
        expect("windows" in steps["buying"]["reason"] and "28" in steps["buying"]["reason"], "the reason names the window",
               steps["buying"]["reason"])
        expect("buying" in steps["churn"]["reason"], "the model's reason names the view", steps["churn"]["reason"])
        before = lake_digest(project)
        project.run("run", now=NOW)
        expect_equal(project.run("plan", now=NOW), [], "plan after the run")
        after = lake_digest(project)
        changed = [table for table in before if table.startswith("main.") and before[table] != after[table]]
        expect_equal(changed, [], "tables that changed")
        expect("buying__orders_28d" in project.rows("FROM training.churn LIMIT 1")[0], "the new feature is in the training set")

    def test_a_new_file_is_behind(self):
        project = self.copy()
        with open(project.path("data", "orders-3.csv"), "w", encoding="utf-8") as file:
            file.write("order_id,customer_id,amount,channel,ordered_at,recorded_at\n"
                       "700001,1,12.50,app,2024-04-18 10:00:00,2024-04-18 10:00:10\n")
        steps = {step["asset"]: step for step in project.run("plan", now=NOW)}
        expect_equal((steps["orders"]["state"], steps["orders"]["reason"]), ("behind", "1 new file"), "orders")
        expect_equal(steps["purchases"]["state"], "behind", "purchases")
        expect("churn" not in steps and "customers" not in steps, "no training, no other source", str(sorted(steps)))

    def test_a_second_run_at_the_same_time_is_refused(self):
        project = self.fresh()
        both = [subprocess.Popen(project.argv("run", "--json", now=NOW), cwd=project.folder, env=environment(), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        answers = [Answer("run", process.wait(TIMEOUT_SECONDS), "", process.stderr.read()) for process in both]
        for process in both:
            process.stderr.close()
        expect_equal(sorted(answer.code for answer in answers), [0, 1], f"exit codes ({answers[0].stderr[-400:]} {answers[1].stderr[-400:]})")
        refused = next(answer for answer in answers if answer.code).error
        expect_equal(refused["code"], "run_active", f"code of {refused}")
        expect(refused.get("hint"), "a hint says what to do", str(refused))
        expect_equal(project.run("plan", now=NOW), [], "plan afterwards")

    # A limit for the size of files stands for a full disk: writing fails in the same place, with another error of the system.
    def test_without_disk_space_there_is_a_clear_error_and_a_later_run_works(self):
        for kibibytes in (16, 100, 250):
            project = self.fresh()
            answer = project.try_run("run", now=NOW, shell_before=f"ulimit -f {kibibytes}")
            expect(answer.code == 1, f"files of {kibibytes} KiB at most: exit code 1", f"{answer.code} {answer.stderr[-800:]}")
            expect(answer.error["code"] in ("disk_full", "no_space"), f"files of {kibibytes} KiB at most: a code that says so", str(answer.error))
            expect(answer.error.get("hint"), "a hint says what to do", str(answer.error))
            project.run("run", now=NOW)
            expect_equal(lake_digest(project), lake_digest(self.finished), f"the lake after {kibibytes} KiB")

    def test_a_lake_of_a_newer_version_is_refused(self):
        project = self.copy()
        file = sqlite3.connect(project.path(".tidemill", "lake", "tidemill.sqlite"))
        file.execute("PRAGMA user_version = 99")
        file.close()
        for command in (["run"], ["plan"], ["query", "SELECT 1 AS one"]):
            answer = project.try_run(*command, now=NOW)
            expect_equal(answer.code, 1, f"exit code of {command[0]}")
            expect_equal(answer.error["code"], "lake_newer", f"code of {command[0]}: {answer.error}")
            expect(answer.error.get("hint"), "a hint says what to do", str(answer.error))
