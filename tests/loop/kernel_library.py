"""The kernel's shared library: what it shows and needs; loaded by Python with ctypes and pyarrow, the example of docs/kernel.md, and a view of an
example project, whose program the command line prints."""
import ctypes
import datetime
import json
import os
import re
import struct
import subprocess
import sys

import harness
from golden import Golden, NOW
from harness import expect, expect_equal

sys.path.insert(0, os.path.join(harness.DEPS, "python"))
import pyarrow  # noqa: E402

VIEW, TABLE, EVENT_TIME, KEY = "tail_delays", "arrivals", "arrived_at", "tailnum"


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

    def test_executes_the_program_of_a_view(self):
        """Over the lake's rows: in bulk what `features join` gives, row by row what `features get` does."""
        golden = Golden(self.folder)
        golden.test_run()
        loaded = Loaded(self.library, golden.ask("features", "program", VIEW))
        self.in_bulk(golden, loaded)
        self.row_by_row(golden, loaded)

    def in_bulk(self, golden, loaded):
        spine = f"SELECT {KEY}, {EVENT_TIME} + INTERVAL 90 MINUTE AS _time FROM {TABLE} WHERE _seq % 7 = 0 AND {KEY} IS NOT NULL"
        golden.ask("features", "join", "--views", VIEW, "--spine", spine, "--time", "_time", "--output", "joined")
        joined = golden.ask("query", "SELECT * FROM features.joined")["rows"]
        expect(len(joined) > 1000, "rows of the spine", str(len(joined)))
        answers = loaded.join(rows_of(golden, loaded, "TRUE"), joined)
        for name in answers[0]:
            expect_equal([bits(row[name]) for row in answers], [bits(row[f"{VIEW}__{name}"]) for row in joined], name)

    def row_by_row(self, golden, loaded):
        busiest = golden.ask("query", f"SELECT {KEY} FROM {TABLE} GROUP BY ALL ORDER BY count(*) DESC, 1 LIMIT 3")["rows"]
        for entity in busiest:
            rows = rows_of(golden, loaded, f"{KEY} = '{entity[KEY]}'")
            state = loaded.state()
            for row in rows:
                state.update([row])
            wanted = golden.ask("features", "get", VIEW, json.dumps(entity))["results"][0]["features"]
            got = state.query([datetime.datetime.fromisoformat(NOW)])[0]
            expect_equal({name: bits(value) for name, value in got.items()}, {name: bits(value) for name, value in wanted.items()}, entity[KEY])
            expect(len(rows) > 20 and any(value is not None for value in got.values()), "something to compare", str(got))


def rows_of(golden, loaded, condition):
    columns = [name for name in loaded.row_schema().names if not name.startswith("_")]
    return golden.ask("query", f"SELECT {', '.join(columns)}, {EVENT_TIME} AS _event_time, _known_at, _seq FROM {TABLE} "
                               f"WHERE {KEY} IS NOT NULL AND {condition} ORDER BY {KEY}, _seq")["rows"]


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


class Exported:
    """Room for Arrow's two structs, filled by pyarrow or by the kernel."""

    def __init__(self, data=None):
        self.schema, self.array = ctypes.create_string_buffer(72), ctypes.create_string_buffer(80)
        if data is not None:
            data._export_to_c(ctypes.addressof(self.array), ctypes.addressof(self.schema))

    def take(self, kind):
        return kind._import_from_c(ctypes.addressof(self.array), ctypes.addressof(self.schema))


class Loaded:
    """A program in the library."""

    def __init__(self, library, program):
        self.kernel = ctypes.CDLL(library)
        for handle in ("program", "state", "join"):
            getattr(self.kernel, f"tidemill_{handle}_error").restype = ctypes.c_char_p
        self.program = ctypes.c_void_p()
        text = json.dumps(program).encode()
        self.check("program", self.program, self.kernel.tidemill_program_new(text, ctypes.c_size_t(len(text)), ctypes.byref(self.program)))

    def check(self, kind, handle, status):
        expect_equal((status, getattr(self.kernel, f"tidemill_{kind}_error")(handle)), (0, b""), kind)

    def row_schema(self):
        schema = ctypes.create_string_buffer(72)
        self.check("program", self.program, self.kernel.tidemill_program_row_schema(self.program, schema))
        return pyarrow.Schema._import_from_c(ctypes.addressof(schema))

    def batch(self, rows):
        return Exported(pyarrow.RecordBatch.from_pylist([with_times(row) for row in rows], schema=self.row_schema()))

    def join(self, rows, spine):
        join, answers, given = ctypes.c_void_p(), Exported(), self.batch(rows)
        times = [{KEY: row[KEY], "_time": moment(row["_time"])} for row in spine]
        asked = Exported(pyarrow.RecordBatch.from_pylist(times, schema=pyarrow.schema([(KEY, pyarrow.string()), ("_time", pyarrow.timestamp("us"))])))
        self.check("join", join, self.kernel.tidemill_join_new(self.program, ctypes.byref(join)))
        self.check("join", join, self.kernel.tidemill_join_run(join, given.schema, given.array, asked.schema, asked.array, answers.schema, answers.array))
        return answers.take(pyarrow.RecordBatch).to_pylist()

    def state(self):
        return State(self)


class State:
    """The state of an entity in the library."""

    def __init__(self, loaded):
        self.loaded, self.handle = loaded, ctypes.c_void_p()
        loaded.check("state", self.handle, loaded.kernel.tidemill_state_new(loaded.program, ctypes.byref(self.handle)))

    def update(self, rows):
        batch = self.loaded.batch(rows)
        self.loaded.check("state", self.handle, self.loaded.kernel.tidemill_state_update(self.handle, batch.schema, batch.array))

    def query(self, moments):
        times, answers = Exported(pyarrow.array(moments, pyarrow.timestamp("us"))), Exported()
        self.loaded.check("state", self.handle, self.loaded.kernel.tidemill_state_query(self.handle, times.schema, times.array, answers.schema, answers.array))
        return answers.take(pyarrow.RecordBatch).to_pylist()


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "")) if text is not None else None


def with_times(row):
    return {name: moment(value) if name in ("_event_time", "_known_at") else value for name, value in row.items()}
