"""The kernel's shared library: what it shows and needs, and the example of docs/kernel.md, loaded by Python with ctypes and pyarrow."""
import os
import re
import subprocess
import sys

import harness
from harness import expect_equal


class KernelLibrary:
    def __init__(self, folder):
        self.folder = folder
        self.library = os.path.join(os.path.dirname(os.path.dirname(harness.program())), "lib", "libtidemill_kernel.so")

    def test_shows_the_functions_of_its_header_alone(self):
        with open(os.path.join(harness.ROOT, "src", "feature", "program", "tidemill_kernel.h"), encoding="utf-8") as file:
            declared = set(re.findall(r"\b(tidemill_\w+)\(", file.read()))
        symbols = subprocess.run(["nm", "-D", "--defined-only", self.library], capture_output=True, text=True, check=True).stdout
        expect_equal({line.split()[-1] for line in symbols.splitlines()}, declared, "symbols")

    def test_needs_the_runtime_and_what_lies_beside_it(self):
        section = subprocess.run(["readelf", "-d", self.library], capture_output=True, text=True, check=True).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*?)\]", section))
        beside = set(os.listdir(os.path.dirname(self.library)))
        expect_equal(needed - {"libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libc.so.6"}, {"libre2.so.9"} & beside, "libraries")

    def test_the_page_shows_what_it_prints(self):
        with open(os.path.join(harness.ROOT, "docs", "kernel.md"), encoding="utf-8") as file:
            page = file.read()
        libraries = os.path.join(os.path.dirname(os.path.dirname(harness.program())), "lib")
        code = re.search(r"```python\n(.*?)```", page, re.S)[1].replace('"lib/', f'"{libraries}/')
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=harness.environment(), check=False)
        wanted = re.search(r"It prints `(.*?)`", page)[1]
        expect_equal((printed.stdout, printed.stderr), (wanted + "\n", ""), "output")
