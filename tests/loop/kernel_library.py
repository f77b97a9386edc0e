"""The kernel's shared library, loaded by Python with ctypes and pyarrow: its answers are those of the program, to the last bit."""
import ctypes
import json
import os
import re
import struct
import subprocess
import sys

import harness
from harness import expect, expect_equal, new_project

NOW = "2024-04-14"
COLUMNS = "customer_id, epoch_us(ordered_at) AS event, epoch_us(_known_at) AS known, _seq AS seq, amount"


def library():
    return os.path.join(os.path.dirname(os.path.dirname(harness.program())), "lib", "libtidemill_kernel.so")


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


class Exported:
    """Room for an ArrowSchema and an ArrowArray."""

    def __init__(self, data=None):
        self.schema = ctypes.create_string_buffer(72)
        self.array = ctypes.create_string_buffer(80)
        if data is not None:
            data._export_to_c(ctypes.addressof(self.array), ctypes.addressof(self.schema))

    def take(self, kind):
        return kind._import_from_c(ctypes.addressof(self.array), ctypes.addressof(self.schema))


class KernelLibrary:
    def __init__(self, folder):
        self.project = new_project(os.path.join(folder, "library"))

    def test_a_join_gives_the_training_set(self):
        import pyarrow
        self.pa = pyarrow
        self.project.run("run", now=NOW)
        self.load()
        self.purchases = self.project.rows(f"SELECT {COLUMNS} FROM purchases ORDER BY customer_id, random()")
        spine = self.project.rows("SELECT t.*, q.customer_id, epoch_us(t.checked_at) AS at FROM training.churn AS t JOIN questions AS q USING (checkup_id)")
        expect(len(spine) > 1000, "thousands of training rows", str(len(spine)))
        answers = self.join(self.rows(self.purchases), self.pa.RecordBatch.from_pydict(
            {"customer_id": [row["customer_id"] for row in spine], "_time": self.times(row["at"] for row in spine)}))
        expect_equal(answers.num_rows, len(spine), "rows")
        for name in answers.schema.names:
            got = [bits(value) for value in answers.column(name).to_pylist()]
            expect_equal(got, [bits(row["buying__" + name]) for row in spine], name)

    def test_a_state_gives_what_features_get_gives(self):
        for customer in sorted({row["customer_id"] for row in self.purchases})[:5]:
            rows = [row for row in self.purchases if row["customer_id"] == customer]
            at = self.project.rows("SELECT epoch_us(TIMESTAMP '2024-04-14') AS at")[0]["at"]
            got = {name: values[0] for name, values in self.query(rows, at).items()}
            wanted = self.project.run("features", "get", "buying", json.dumps({"customer_id": customer}), now=NOW)
            wanted = self.outputs_in(wanted)
            expect_equal({name: bits(got[name]) for name in got}, {name: bits(wanted[name]) for name in got}, f"customer {customer}")

    def test_what_does_not_fit_is_refused(self):
        spine = self.pa.RecordBatch.from_pydict({"customer_id": ["x"], "_time": self.times([0])})
        try:
            self.join(self.rows(self.purchases), spine)
        except ValueError as error:
            expect("customer_id is of the Arrow type 'u'" in str(error), "the type is named", str(error))
        else:
            raise harness.Failure("a text was taken for an integer")
        encoded = self.pa.RecordBatch.from_arrays([self.pa.array([1]).dictionary_encode(), self.times([0])], ["customer_id", "_time"])
        try:
            self.join(self.rows(self.purchases), encoded)
        except ValueError as error:
            expect("dictionary" in str(error), "dictionaries are named", str(error))
        else:
            raise harness.Failure("a dictionary was taken")

    def test_the_page_shows_what_it_prints(self):
        with open(os.path.join(harness.ROOT, "docs", "kernel.md"), encoding="utf-8") as file:
            page = file.read()
        code = re.search(r"```python\n(.*?)```", page, re.S)[1].replace('"lib/', f'"{os.path.dirname(library())}/')
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=harness.environment(), check=False)
        wanted = re.search(r"It prints `(.*?)`", page)[1]
        expect_equal((printed.stdout, printed.stderr), (wanted + "\n", ""), "output")

    def load(self):
        self.kernel = ctypes.CDLL(library())
        for handle in ("program", "state", "join"):
            getattr(self.kernel, f"tidemill_{handle}_error").restype = ctypes.c_char_p
        expect_equal(self.kernel.tidemill_kernel_abi(), 1, "version of the interface")
        self.program = ctypes.c_void_p()
        text = json.dumps(self.buying()).encode()
        self.check("program", self.kernel.tidemill_program_new(text, ctypes.c_size_t(len(text)), ctypes.byref(self.program)), self.program)

    def buying(self):
        """The program of the view, as the model's package holds it."""
        for folder, _, files in os.walk(self.project.path(".")):
            for name in files:
                if name.endswith(".json"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        found = self.find(json.load(file))
                    if found:
                        return found
        raise harness.Failure("no package holds the program of buying")

    def find(self, node):
        if isinstance(node, dict):
            if node.get("view") == "buying" and "aggregates" in node:
                return node
            node = list(node.values())
        return next(filter(None, map(self.find, node)), None) if isinstance(node, list) else None

    def outputs_in(self, node):
        """The object named "features" of an answer."""
        if isinstance(node, dict) and "features" in node:
            return node["features"]
        node = list(node.values()) if isinstance(node, dict) else node
        return next(filter(None, map(self.outputs_in, node)), None) if isinstance(node, list) else None

    def check(self, handle, status, pointer):
        if status != 0:
            raise ValueError(getattr(self.kernel, f"tidemill_{handle}_error")(pointer).decode())

    def times(self, micros):
        return self.pa.array(list(micros), self.pa.int64()).cast(self.pa.timestamp("us"))

    def rows(self, rows):
        column = lambda name: [row[name] for row in rows]
        return self.pa.RecordBatch.from_pydict({"customer_id": column("customer_id"), "_event_time": self.times(column("event")),
                                                "_known_at": self.times(column("known")), "_seq": column("seq"), "amount": column("amount")})

    def join(self, rows, spine):
        join, given, asked, answers = ctypes.c_void_p(), Exported(rows), Exported(spine), Exported()
        self.check("join", self.kernel.tidemill_join_new(self.program, ctypes.byref(join)), join)
        try:
            self.check("join", self.kernel.tidemill_join_run(join, given.schema, given.array, asked.schema, asked.array, answers.schema,
                                                             answers.array), join)
        finally:
            self.kernel.tidemill_join_free(join)
            given.take(self.pa.RecordBatch)
            asked.take(self.pa.RecordBatch)
        return answers.take(self.pa.RecordBatch)

    def query(self, rows, at):
        state, given, asked, answers = ctypes.c_void_p(), Exported(self.rows(rows)), Exported(self.times([at])), Exported()
        self.check("state", self.kernel.tidemill_state_new(self.program, ctypes.byref(state)), state)
        try:
            self.check("state", self.kernel.tidemill_state_update(state, given.schema, given.array), state)
            self.check("state", self.kernel.tidemill_state_query(state, asked.schema, asked.array, answers.schema, answers.array), state)
        finally:
            self.kernel.tidemill_state_free(state)
            given.take(self.pa.RecordBatch)
            asked.take(self.pa.Array)
        return answers.take(self.pa.RecordBatch).to_pydict()
