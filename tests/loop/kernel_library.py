"""The kernel's shared library, loaded by Python with ctypes and pyarrow: the example of docs/kernel.md prints what the page says."""
import os
import re
import subprocess
import sys

import harness
from harness import expect_equal


class KernelLibrary:
    def __init__(self, folder):
        self.folder = folder

    def test_the_page_shows_what_it_prints(self):
        with open(os.path.join(harness.ROOT, "docs", "kernel.md"), encoding="utf-8") as file:
            page = file.read()
        libraries = os.path.join(os.path.dirname(os.path.dirname(harness.program())), "lib")
        code = re.search(r"```python\n(.*?)```", page, re.S)[1].replace('"lib/', f'"{libraries}/')
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=harness.environment(), check=False)
        wanted = re.search(r"It prints `(.*?)`", page)[1]
        expect_equal((printed.stdout, printed.stderr), (wanted + "\n", ""), "output")
