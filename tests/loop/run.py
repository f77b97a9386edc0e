#!/usr/bin/env python3
"""The loop, end to end, on a second domain: tests/loop/run.py [--preset NAME] [--filter TEXT]

The program is $TIDEMILL_PROGRAM, else that of the preset's build."""
import argparse
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
import harness  # noqa: E402
from card_fraud import CardFraud  # noqa: E402
from derived import Derived  # noqa: E402
from golden import Golden  # noqa: E402
from leak import Leak  # noqa: E402
from interruption import Interruption  # noqa: E402
from joins import Joins  # noqa: E402
from kernel_library import KernelLibrary  # noqa: E402
from planning import Planning  # noqa: E402
from pushing import Pushing  # noqa: E402
from python_tables import PythonTables  # noqa: E402
from stages import Stages  # noqa: E402


def tests_of(suite):
    """In the order in which they are written."""
    return [name for name in vars(type(suite)) if name.startswith("test_")]


def run_suite(make_suite, wanted):
    passed = failed = 0
    with harness.temporary_folder() as folder:
        suite = make_suite(folder)
        for name in tests_of(suite):
            shown = f"{make_suite.__name__}.{name[5:]}"
            if wanted not in shown:
                continue
            started = time.monotonic()
            try:
                getattr(suite, name)()
            except Exception as error:  # A test that breaks must not hide the others.
                failed += 1
                print(f"FAILED {shown}", flush=True)
                text = str(error) if isinstance(error, harness.Failure) else traceback.format_exc()
                print("\n".join("    " + line for line in text.splitlines()), flush=True)
            else:
                passed += 1
                print(f"ok     {shown} ({time.monotonic() - started:.1f} s)", flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="Tests the loop end to end.")
    parser.add_argument("--preset", default="release", help="the build to test (default: release)")
    parser.add_argument("--filter", default="", help="only tests whose name contains this text; some need those before them")
    arguments = parser.parse_args()
    os.environ.setdefault("TIDEMILL_PROGRAM", os.path.join(harness.ROOT, "build", arguments.preset, "bin", "tidemill"))
    suites = (Stages, Golden, Leak, Interruption, Planning, Pushing, PythonTables, Derived, Joins, CardFraud, KernelLibrary)
    if arguments.preset == "asan":  # the kernel alone is a library for other programs: there it is not built
        suites = tuple(suite for suite in suites if suite is not KernelLibrary)
    results = [run_suite(suite, arguments.filter) for suite in suites]
    passed, failed = (sum(counts) for counts in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


sys.exit(main())
