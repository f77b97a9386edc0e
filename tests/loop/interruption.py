"""Killed at any moment, a run leaves nothing that the next one does not mend."""
import os
import random
import signal
import subprocess
import time

from harness import environment, expect, expect_equal, lake_digest, new_project

NOW = "2024-04-19"
KILLS = 10


class Interruption:
    def __init__(self, folder):
        self.folder = folder
        self.killed_early = 0
        undisturbed = new_project(os.path.join(folder, "undisturbed"))
        started = time.monotonic()
        undisturbed.run("run", now=NOW)
        self.seconds = time.monotonic() - started
        self.digest = lake_digest(undisturbed)
        self.champion = undisturbed.champion()

    def kill_and_repeat(self, number):
        share = (number - random.Random(200 + number).random()) / KILLS
        project = new_project(os.path.join(self.folder, f"killed{number}"))
        process = subprocess.Popen(project.argv("run", now=NOW), cwd=project.folder, env=environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(share * self.seconds)
        process.send_signal(signal.SIGKILL)
        self.killed_early += process.wait() == -signal.SIGKILL
        project.run("run", now=NOW)
        expect_equal(project.run("plan", now=NOW), [], "plan after the second run")
        digest = lake_digest(project)
        different = [f"{table}: {digest[table]}, undisturbed {self.digest[table]}" for table in digest if digest[table] != self.digest[table]]
        expect(not different, f"the lake after a kill at {share:.2f} of the run", "; ".join(different))
        matching = project.rows("SELECT count(*) AS n FROM scores.churn JOIN questions USING (_seq, checkup_id)")[0]["n"]
        expect_equal(matching, digest["scores.churn"][0], "scores whose row of the spine has the same number")
        champion = project.champion()
        for name in ("version", "package_sha256", "training_set_sha256", "metrics"):
            expect_equal(champion[name], self.champion[name], f"{name} of the champion after a kill at {share:.2f} of the run")
        expect_equal(project.run("features", "verify", "churn", "--sample", "0", now=NOW)["rows_different"], 0, "online answers")


def add_tests():
    for number in range(1, KILLS + 1):
        setattr(Interruption, f"test_killed_and_run_again_{number}", lambda self, number=number: self.kill_and_repeat(number))

    def kills_hit(self):
        expect(self.killed_early >= KILLS // 2, "most runs were killed before they ended", str(self.killed_early))

    setattr(Interruption, "test_the_kills_came_in_time", kills_hit)


add_tests()
