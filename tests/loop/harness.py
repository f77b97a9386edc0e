"""What the tests of the loop share: the program, projects in folders of their own, and digests of a lake."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHURN = os.path.join(HERE, "churn")
DEPS = os.environ.get("TIDEMILL_DEPS", os.path.join(ROOT, ".deps"))
TIMEOUT_SECONDS = int(os.environ.get("TIDEMILL_TEST_TIMEOUT", "120"))  # of a command
TABLES = ["main.checkups", "main.customers", "main.orders", "main.accounts", "main.purchases", "main.questions", "training.churn",
          "scores.churn"]

sys.path.insert(0, CHURN)
import make_data  # noqa: E402  (its folder is the project's)


class Failure(Exception):
    pass


def expect(holds, text, detail=""):
    if not holds:
        raise Failure(f"{text}{': ' if detail else ''}{detail}")


def expect_equal(got, wanted, text):
    expect(got == wanted, text, f"got {got!r}, wanted {wanted!r}")


class Answer:
    """What a command gave back; `json` is its stdout, `error` its stderr's last line, read as JSON."""

    def __init__(self, command, code, stdout, stderr):
        self.command, self.code, self.stdout, self.stderr = command, code, stdout, stderr

    @property
    def json(self):
        try:
            return json.loads(self.stdout)
        except ValueError:
            raise Failure(f"{self.command}: stdout is not JSON: {self.stdout[:300]!r}; stderr: {self.stderr[-600:]!r}") from None

    @property
    def error(self):
        for line in reversed(self.stderr.strip().splitlines()):
            if line.startswith("{"):
                return json.loads(line)["error"]
        raise Failure(f"{self.command}: no error as JSON on stderr: {self.stderr[-600:]!r}")


class ChurnProject:
    """A copy of the churn project, and the program in it."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def argv(self, *arguments, now=None):
        return [program(), *arguments, *(["--now", now] if now else [])]

    def try_run(self, *arguments, now=None, shell_before=""):
        """A command with --json, whatever its exit code."""
        argv = self.argv(*arguments, "--json", now=now)
        if shell_before:
            argv = ["bash", "-c", shell_before + '; exec "$@"', "bash", *argv]
        done = subprocess.run(argv, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
        return Answer(" ".join(arguments), done.returncode, done.stdout, done.stderr)

    def run(self, *arguments, now=None):
        """A command that must succeed; its JSON."""
        answer = self.try_run(*arguments, now=now)
        expect(answer.code == 0, f"'{answer.command}' failed with code {answer.code}", answer.stderr[-1500:])
        return answer.json

    def rows(self, sql):
        return self.run("query", sql)["rows"]

    def champion(self):
        champions = [version for version in self.run("models", "list", "churn") if version["champion"]]
        expect_equal(len(champions), 1, "champions of the model")
        return champions[0]

    def edit(self, name, before, after):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        expect(before in text, f"{name} holds no {before!r}")
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text.replace(before, after, 1))

    def copy_to(self, folder):
        shutil.copytree(self.folder, folder)
        return ChurnProject(folder)


def program():
    return os.environ.get("TIDEMILL_PROGRAM") or os.path.join(ROOT, "build", "release", "bin", "tidemill")


def environment():
    # What a user's shell sets must not matter.
    kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    return {**kept, "PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC", "LC_ALL": "C.UTF-8", "NO_COLOR": "1",
            "PYTHONPATH": os.path.join(DEPS, "python")}


def new_project(folder, known_until=None):
    """The churn project with its data, all of it or what was known at a time."""
    shutil.copytree(CHURN, folder, ignore=shutil.ignore_patterns("__pycache__", "data", ".tidemill"))
    make_data.write_project_data(folder, known_until)
    return ChurnProject(folder)


def lake_digest(project):
    """Of each table of the lake: its number of rows and a digest of all their values, _seq and prediction ids included."""
    parts = [f"SELECT '{table}' AS name, count(*) AS n, CAST(sum(CAST(hash(r) AS HUGEINT)) AS VARCHAR) AS digest FROM {table} AS r"
             for table in TABLES]
    return {row["name"]: (row["n"], row["digest"]) for row in project.rows(" UNION ALL ".join(parts))}


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="tidemill-loop-")


def nodes(tree):
    """A lineage and all that is below it."""
    yield tree
    for child in tree.get("from", []):
        yield from nodes(child)
