"""Nothing leaks from the future: what became known after a time changes no training row up to that time."""
import datetime
import os
import random

from harness import expect, expect_equal, make_data, new_project

NOW = "2024-04-29"
TIMES = 6
# The label of these projects needs no orders, so that a training has both classes wherever the orders end.
LABEL = ("label: gone", 'label: "checkup_id % 2 = 0"')


def keep_calendar(project):
    """Check-ups are asked about in both projects: when they happen is a calendar, known in advance."""
    header, rows = make_data.make_rows()["checkups"]
    make_data.write(project.path("data", "checkups.csv"), header, rows)


class Leak:
    def __init__(self, folder):
        self.folder = folder
        self.full = self.make("full", None)
        self.full_training = self.training(self.full)
        self.full_labels = self.labels(self.full)

    def make(self, name, known_until):
        project = new_project(os.path.join(self.folder, name), known_until)
        project.edit("models/churn.yaml", *LABEL)
        project.edit("models/churn.yaml", "auc: {min: 0.65", "auc: {min: 0")
        keep_calendar(project)
        project.run("run", now=NOW)
        return project

    def training(self, project):
        return {row["checkup_id"]: row for row in project.rows("FROM training.churn")}

    def labels(self, project):
        return {row["checkup_id"]: row for row in project.rows("SELECT checkup_id, gone, decided_at FROM questions")}

    def compare(self, number):
        dice = random.Random(100 + number)
        # Before the last check-ups whose labels are known at NOW, so that there are rows on both sides.
        at = make_data.START + datetime.timedelta(days=45, seconds=dice.randrange(55 * 86400))
        until = at.isoformat() + "Z"
        project = self.make(f"known{number}", at)
        removed = [row for row in make_data.make_rows()["orders"][1] if row[-1] > at]
        late = [row for row in removed if row[-2] <= at]
        expect(len(removed) > 500 and len(late) > 0, "rows were removed, late ones among them", f"{len(removed)}, {len(late)}")

        past = {key: row for key, row in self.full_training.items() if row["checked_at"] <= until}
        same = {key: row for key, row in self.training(project).items() if row["checked_at"] <= until}
        expect(len(past) > 1000, "there is a past to compare", str(len(past)))
        expect_equal(sorted(same), sorted(past), f"check-ups up to {until}")
        for key, row in past.items():
            expect_equal(same[key], row, f"training row of check-up {key}, known until {until}")
        # The test can fail: what came after is not the same.
        expect(self.training(project) != self.full_training, "later rows differ")

        labels = self.labels(project)
        decided = {key: row for key, row in self.full_labels.items() if row["decided_at"] <= until}
        expect(len(decided) > 500, "labels known by then", str(len(decided)))
        expect_equal({key: labels[key] for key in decided}, decided, f"labels known by {until}")


def add_tests():
    for number in range(1, TIMES + 1):
        setattr(Leak, f"test_what_became_known_later_changes_nothing_{number}", lambda self, number=number: self.compare(number))


add_tests()
