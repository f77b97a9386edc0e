"""Peers of the benchmarks: Python packages pinned by version and SHA-256, in environments of their own under build/bench.

A benchmark asks for an environment by the name of its list, bench/NAME.txt, and gets its Python. Nothing outside of the benchmarks needs
them.
"""
import hashlib
import os
import shutil
import subprocess
import sys

from run import ROOT, WORK


def python(name="peers"):
    """The Python of an environment with the packages of bench/NAME.txt; made anew when the list has changed or an installation was cut off."""
    wanted = os.path.join(ROOT, "bench", name + ".txt")
    folder = os.path.join(WORK, "python", name)
    program = os.path.join(folder, "bin", "python")
    mark = os.path.join(folder, "installed")
    with open(wanted, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if os.path.exists(mark):
        with open(mark, encoding="utf-8") as file:
            if file.read() == digest:
                return program
    print(f"installing the packages of bench/{name}.txt", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([program, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                    "--only-binary=:all:", "-r", wanted], check=True, stdout=sys.stderr)
    with open(mark, "w", encoding="utf-8") as file:
        file.write(digest)
    return program
