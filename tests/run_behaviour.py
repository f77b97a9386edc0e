#!/usr/bin/env python3
"""Runs the behaviour tests in tests/behaviour/**/*.test. tests/README.md describes their format.

    tests/run_behaviour.py [--preset NAME] [--filter TEXT] [--update] [--keep] [PATH...]
"""
import argparse
import concurrent.futures
import dataclasses
import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INDENT = "  "
TIMEOUT_SECONDS = 300


@dataclasses.dataclass
class Step:
    """One part of a test, and the lines of the test file that it came from: those are kept as they are, except what --update renews."""
    kind: str  # "text" (comments, blank lines), "file", "env" or "run"
    head: list[str]  # the lines as written, without the expectations
    line: int
    name: str = ""
    content: list[str] = dataclasses.field(default_factory=list)  # of a file
    command: str = ""
    stdout: list[str] = dataclasses.field(default_factory=list)
    exit_code: int = 0
    stderr: list[str] | None = None  # None: not looked at


class FormatError(Exception):
    pass


def indented_block(lines, at):
    """The indented lines from `at` on, without the indent; blank lines count when an indented one follows."""
    block = []
    blank = 0
    while at + blank < len(lines):
        line = lines[at + blank]
        if not line.strip():
            blank += 1
        elif line.startswith(INDENT):
            block += [""] * blank + [line[len(INDENT):]]
            at += blank + 1
            blank = 0
        else:
            break
    return block, at


def parse(text):
    lines = text.splitlines()
    steps = []
    at = 0
    while at < len(lines):
        line = lines[at]
        start = at
        if not line.strip() or line.startswith("#"):
            at += 1
            steps.append(Step("text", [line], start + 1))
        elif line.startswith("file "):
            content, at = indented_block(lines, at + 1)
            steps.append(Step("file", lines[start:at], start + 1, name=line[5:].strip(), content=content))
        elif line.startswith("env "):
            at += 1
            if "=" not in line:
                raise FormatError(f"line {at}: expected 'env NAME=value'")
            steps.append(Step("env", [line], start + 1, name=line[4:].strip()))
        elif line.startswith("$ "):
            command = [line[2:]]
            at += 1
            while at < len(lines) and (lines[at].startswith("> ") or lines[at] == ">"):
                command.append(lines[at][2:])
                at += 1
            step = Step("run", lines[start:at], start + 1, command="\n".join(command))
            step.stdout, at = indented_block(lines, at)
            if at < len(lines) and lines[at].startswith("? "):
                if not lines[at][2:].strip().isdigit():
                    raise FormatError(f"line {at + 1}: expected an exit code after '?'")
                step.exit_code = int(lines[at][2:])
                at += 1
            if at < len(lines) and lines[at].rstrip() == "stderr:":
                step.stderr, at = indented_block(lines, at + 1)
            steps.append(step)
        else:
            raise FormatError(f"line {at + 1}: expected '#', 'file', 'env' or '$', or two spaces before what belongs to the line above: {line!r}")
    return steps


def line_matches(pattern, line):
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("...")), line) is not None


def matches(patterns, lines):
    """`...` within a line stands for any characters, a line of only `...` for any number of lines."""
    reachable = {0}  # how many patterns may be used up by the lines so far
    def skip(states):
        states = set(states)
        for state in sorted(states):
            while state < len(patterns) and patterns[state].strip() == "...":
                state += 1
                states.add(state)
        return states
    reachable = skip(reachable)
    for line in lines:
        following = set()
        for state in reachable:
            if state == len(patterns):
                continue
            if patterns[state].strip() == "...":
                following.add(state)
            elif line_matches(patterns[state], line):
                following.add(state + 1)
        reachable = skip(following)
    return len(patterns) in reachable


def written(step):
    lines = list(step.head)
    if step.kind == "run":
        lines += [INDENT + line if line else "" for line in step.stdout]
        if step.exit_code:
            lines.append(f"? {step.exit_code}")
        if step.stderr is not None:
            lines.append("stderr:")
            lines += [INDENT + line if line else "" for line in step.stderr]
    return lines


def difference(title, expected, got):
    lines = difflib.unified_diff(expected, got, f"expected {title}", f"got {title}", lineterm="", n=3)
    return ["    " + line for line in lines]


class Sandbox:
    """An empty folder to run commands in; whatever they leave running ends with it."""

    def __init__(self, build, keep):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="tidemill-test-"))
        self.keep = keep
        self.work = os.path.join(self.folder, "work")
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.work)
        os.mkdir(self.home)
        self.sessions = []
        deps = os.environ.get("TIDEMILL_DEPS", os.path.join(ROOT, ".deps"))
        self.environment = {
            "PATH": os.path.join(build, "bin") + ":" + os.environ["PATH"],
            "HOME": self.home, "TZ": "UTC", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb",
            "PYTHONPATH": os.path.join(deps, "python"),
            "TIDEMILL_TEST_DATA": os.environ.get("TIDEMILL_TEST_DATA", os.path.join(deps, "data")),
            "TIDEMILL_SOURCE": ROOT,
            "TSAN_OPTIONS": "suppressions=" + os.path.join(ROOT, "tests", "tsan.supp") + " detect_deadlocks=0 report_mutex_bugs=0 ignore_noninstrumented_modules=1",
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "PYENV_VERSION", "PYENV_ROOT"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def write(self, name, content):
        path = os.path.normpath(os.path.join(self.work, name))
        if not path.startswith(self.work + os.sep):
            raise FormatError(f"'{name}' is outside the test's folder")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in content))

    def run(self, command):
        """Its exit code (None when it took too long), lines of stdout, lines of stderr."""
        # Files instead of pipes: a server left in the background must not keep us waiting for the end of its output.
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(["bash", "-c", command], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
                                       stdout=stdout, stderr=stderr, start_new_session=True)
            self.sessions.append(process.pid)
            try:
                code = process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            outputs = []
            for file in (stdout, stderr):
                file.seek(0)
                text = file.read().decode("utf-8", "backslashreplace").replace(self.work, "$DIR")
                lines = [line.rstrip() for line in text.split("\n")]
                while lines and not lines[-1]:
                    lines.pop()
                outputs.append(lines)
            return code, *outputs

    def close(self):
        for sent in (signal.SIGTERM, signal.SIGKILL):
            left = False
            for session in self.sessions:
                try:
                    os.killpg(session, sent)
                    left = True
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.2)
        if self.keep:
            print(f"kept {self.work}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def check_run(step, sandbox, update):
    """The lines that tell what went wrong with a command; with `update` the step is made to expect what came instead."""
    code, stdout, stderr = sandbox.run(step.command)
    problems = []
    if code is None:
        return [f"    took more than {TIMEOUT_SECONDS} s"]
    if not matches(step.stdout, stdout):
        problems += difference("stdout", step.stdout, stdout)
        if update:
            step.stdout = stdout
    if step.stderr is not None and not matches(step.stderr, stderr):
        problems += difference("stderr", step.stderr, stderr)
        if update:
            step.stderr = stderr
    if code != step.exit_code:
        problems.append(f"    expected exit code {step.exit_code}, got {code}")
        if update:
            step.exit_code = code
    if problems and stderr and step.stderr is None:
        problems += ["    stderr was:"] + ["      " + line for line in stderr[-40:]]
    return problems


def run_test(path, arguments, build):
    """What to print about a failure, empty when the test passed."""
    shown = os.path.relpath(path, ROOT)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        steps = parse(text)
    except FormatError as error:
        return [f"{shown}: {error}"]
    if not any(step.kind == "run" for step in steps):
        return [f"{shown}: runs nothing"]
    report = []
    sandbox = Sandbox(build, arguments.keep)
    try:
        for step in steps:
            if step.kind == "file":
                sandbox.write(step.name, step.content)
            elif step.kind == "env":
                name, value = step.name.split("=", 1)
                sandbox.environment[name] = value.replace("$DIR", sandbox.work)
            elif step.kind == "run":
                problems = check_run(step, sandbox, arguments.update)
                if problems:
                    report += [f"{shown}:{step.line}: $ {step.command.splitlines()[0]}"] + problems
                    if not arguments.update:
                        break  # What follows usually fails for the same reason.
    except (FormatError, OSError) as error:
        report.append(f"{shown}: {error}")
    finally:
        sandbox.close()
    if arguments.update and report:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(line for step in steps for line in written(step)) + "\n")
    return report


def find_tests(paths, wanted):
    for root in paths or [os.path.join(ROOT, "tests", "behaviour")]:
        if os.path.isfile(root):
            yield os.path.abspath(root)
        for folder, directories, files in os.walk(root):
            directories.sort()
            for name in sorted(files):
                path = os.path.join(os.path.abspath(folder), name)
                if name.endswith(".test") and wanted in os.path.relpath(path, ROOT):
                    yield path


def main():
    parser = argparse.ArgumentParser(description="Runs the behaviour tests.")
    parser.add_argument("paths", nargs="*", help="files or folders (default: all)")
    parser.add_argument("--preset", default="release", help="the build to test (default: release)")
    parser.add_argument("--filter", default="", help="only tests whose path contains this text")
    parser.add_argument("--update", action="store_true", help="rewrite what the tests expect to what came")
    parser.add_argument("--keep", action="store_true", help="leave the tests' folders behind")
    parser.add_argument("--jobs", type=int, default=2, help="tests at once (default: 2)")
    arguments = parser.parse_args()
    build = os.path.join(ROOT, "build", arguments.preset)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        running = [pool.submit(run_test, path, arguments, build) for path in find_tests(arguments.paths, arguments.filter)]
        for test in running:
            try:
                report = test.result()
            except Exception as error:  # a fault of this runner must not hide the other results
                report = [f"internal error: {error!r}"]
            passed += not report
            failed += bool(report)
            if report:
                print("\n".join(report), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
