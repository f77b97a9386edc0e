"""`features join`, killed, without space, and two at once: what it gives is whole or not there."""
import hashlib
import os
import shutil
import signal
import subprocess
import time

from harness import Answer, TIMEOUT_SECONDS, environment, expect, expect_equal, new_project

NOW = "2024-04-19"
KILLS = 6
SPINE = "SELECT customer_id, ordered_at + to_minutes(i) AS asked FROM purchases CROSS JOIN range(40) AS t(i)"
OTHER_SPINE = "SELECT customer_id, ordered_at + to_seconds(i) AS asked FROM purchases CROSS JOIN range(40) AS t(i)"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Joins:
    def __init__(self, folder):
        self.folder = folder
        self.project = new_project(os.path.join(folder, "joins"))
        self.project.run("run", now=NOW)
        started = time.monotonic()
        self.rows = self.join("whole.parquet")["rows"]
        self.seconds = time.monotonic() - started
        self.whole = digest(self.project.path("whole.parquet"))

    @staticmethod
    def arguments(output, spine=SPINE):
        return ["features", "join", "--spine", spine, "--time", "asked", "--views", "buying,account", "--output", output]

    def join(self, output, spine=SPINE):
        return self.project.run(*self.arguments(output, spine), now=NOW)

    def start(self, output, spine=SPINE):
        return subprocess.Popen(self.project.argv(*self.arguments(output, spine), "--json", now=NOW), cwd=self.project.folder,
                                env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def kill(self, output, share):
        process = self.start(output)
        time.sleep(share * self.seconds)
        process.send_signal(signal.SIGKILL)
        process.stderr.close()
        return process.wait() == -signal.SIGKILL

    def expect_no_leftovers(self):
        """Once a command has run, temporary folders of killed ones are gone."""
        self.project.run("plan", now=NOW)
        left = os.listdir(self.project.path(".tidemill", "tmp"))
        expect_equal(left, [], "what is left in .tidemill/tmp")

    def test_joining_again_gives_the_same_bytes(self):
        expect(self.rows > 400_000, "enough rows to be killed in the middle", str(self.rows))
        self.join("again.parquet")
        expect_equal(digest(self.project.path("again.parquet")), self.whole, "the file")
        self.expect_no_leftovers()

    def test_with_little_memory_rows_are_the_same(self):
        small = self.project.copy_to(os.path.join(self.folder, "small"))
        small.edit("tidemill.yaml", "threads: 2", "threads: 2\nmemory_limit: 64MB")
        small.run(*self.arguments("small.parquet"), now=NOW)
        expect_equal(digest(small.path("small.parquet")), self.whole, "the file")
        shutil.rmtree(small.folder)

    def test_killed_there_is_no_file_and_the_next_join_cleans_up(self):
        file, partial = self.project.path("killed.parquet"), self.project.path("killed.parquet.partial")
        killed = 0
        for number in range(1, KILLS + 1):
            was_killed = self.kill("killed.parquet", number / (KILLS + 1))
            killed += was_killed
            # A process may be killed when the file is there, on its way out.
            expect(not was_killed or not os.path.exists(file) or digest(file) == self.whole, f"no file after kill {number}")
            self.expect_no_leftovers()
            if os.path.exists(file):
                os.remove(file)
        expect(killed >= KILLS // 2, "most joins were killed before they ended", str(killed))
        self.join("killed.parquet")
        expect_equal(digest(file), self.whole, "the file of the join that was left alone")
        expect(not os.path.exists(partial), "no partial file is left")

    def test_killed_a_table_is_as_it_was(self):
        self.project.run("features", "join", "--at", "2024-03-01", "--views", "buying", "--output", "joined", now=NOW)
        sql = "SELECT count(*) AS n, CAST(sum(CAST(hash(r) AS HUGEINT)) AS VARCHAR) AS digest FROM features.joined AS r"
        before = self.project.rows(sql)
        for number in range(1, KILLS + 1):
            was_killed = self.kill("joined", number / (KILLS + 1))
            after = self.project.rows(sql)
            # Of a process that is killed on its way out all rows are there.
            if was_killed and after[0]["n"] != self.rows:
                expect_equal(after, before, f"the table after kill {number}")
            else:
                self.project.run("features", "join", "--at", "2024-03-01", "--views", "buying", "--output", "joined", now=NOW)
            self.expect_no_leftovers()
        self.join("joined")
        expect_equal(self.project.rows(sql)[0]["n"], self.rows, "rows of the table after a join that was left alone")

    # A limit for the size of files stands for a full disk, as in planning.py.
    def test_without_disk_space_there_is_a_clear_error_and_nothing_is_left(self):
        for output in ("full.parquet", "full"):
            for kibibytes in (100, 1000):
                answer = self.project.try_run(*self.arguments(output), now=NOW, shell_before=f"ulimit -f {kibibytes}")
                what = f"{output} with files of {kibibytes} KiB at most"
                expect_equal(answer.code, 1, f"exit code of {what} ({answer.stderr[-600:]})")
                expect(answer.error["code"] in ("disk_full", "no_space"), f"{what}: a code that says so", str(answer.error))
                expect(answer.error.get("hint"), f"{what}: a hint says what to do", str(answer.error))
                for name in ("full.parquet", "full.parquet.partial"):
                    expect(not os.path.exists(self.project.path(name)), f"{what}: no {name}")
                self.expect_no_leftovers()
        self.join("full.parquet")
        expect_equal(digest(self.project.path("full.parquet")), self.whole, "the file when there is space")

    def finish(self, processes):
        answers = [Answer("join", process.wait(TIMEOUT_SECONDS), "", process.stderr.read()) for process in processes]
        for process in processes:
            process.stderr.close()
        return answers

    def test_two_into_different_files_at_once_do_not_disturb_each_other(self):
        self.join("other.parquet", OTHER_SPINE)
        other = digest(self.project.path("other.parquet"))
        small = self.project.copy_to(os.path.join(self.folder, "both"))
        small.edit("tidemill.yaml", "threads: 2", "threads: 2\nmemory_limit: 64MB")  # both spill
        self.project, project = small, self.project
        answers = self.finish([self.start("one.parquet"), self.start("two.parquet", OTHER_SPINE)])
        self.project = project
        expect_equal([answer.code for answer in answers], [0, 0], f"exit codes ({[answer.stderr[-300:] for answer in answers]})")
        expect_equal((digest(small.path("one.parquet")), digest(small.path("two.parquet"))), (self.whole, other), "the files")
        shutil.rmtree(small.folder)

    def test_two_into_one_file_at_once_leave_a_whole_one(self):
        answers = self.finish([self.start("same.parquet"), self.start("same.parquet")])
        expect(0 in [answer.code for answer in answers], "one wins", str([answer.stderr[-300:] for answer in answers]))
        for answer in answers:
            expect(answer.code == 0 or answer.error["code"] == "locked", "the other is told why not", answer.stderr[-300:])
        expect_equal(digest(self.project.path("same.parquet")), self.whole, "the file")

    def test_two_into_one_table_at_once_leave_a_whole_one(self):
        answers = self.finish([self.start("shared"), self.start("shared")])
        expect_equal([answer.code for answer in answers], [0, 0], f"exit codes ({[answer.stderr[-300:] for answer in answers]})")
        expect_equal(self.project.rows("SELECT count(*) AS n FROM features.shared")[0]["n"], self.rows, "rows")
