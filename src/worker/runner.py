"""The Python side of a worker process: worker/process.h describes the messages, worker/worker_pool.h the calls.

It talks over the socket with number 3. What user code prints goes to descriptors 1 and 2, which the parent collects.
"""
import importlib.abc
import importlib.util
import io
import json
import os
import random
import struct
import sys
import traceback

CHANNEL = 3
FRAME_BYTES_MAX = 1 << 20
BATCH_ROWS_MAX = 65_536
BATCH_BYTES_MAX = 16 << 20
MESSAGE_CHARACTERS_MAX = 2_000

os.set_inheritable(CHANNEL, False)
channel = open(CHANNEL, "rb", buffering=1 << 16)


class Failure(Exception):
    """Something to tell the user; without a line it is about the function as a whole."""

    def __init__(self, code, message, hint="", **place):
        super().__init__(message)
        self.fields = {"code": code, "message": message, "hint": hint, **place}


# ---- messages ----

def read_exactly(size):
    data = channel.read(size)
    if len(data) < size:
        os._exit(0)  # the parent is gone
    return data


def receive():
    kind, size = struct.unpack("<cI", read_exactly(5))
    return kind, read_exactly(size)


def send(kind, payload=b""):
    view = memoryview(struct.pack("<cI", kind, len(payload)) + payload)
    while view:
        view = view[os.write(CHANNEL, view):]


class FramesIn(io.RawIOBase):
    """The bytes of one argument: data frames up to the end frame."""

    def __init__(self):
        self.rest = memoryview(b"")
        self.ended = False

    def readable(self):
        return True

    def table(self):
        stream = io.BufferedReader(self, FRAME_BYTES_MAX)
        table = pa.ipc.open_stream(stream).read_all()
        stream.read()  # the stream's own end comes before the end frame
        return table

    def readinto(self, buffer):
        while not self.rest and not self.ended:
            kind, payload = receive()
            self.ended = kind == b"E"
            self.rest = memoryview(payload)
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count


class FramesOut(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        view = memoryview(data).cast("B")
        for start in range(0, len(view), FRAME_BYTES_MAX):
            send(b"D", bytes(view[start:start + FRAME_BYTES_MAX]))
        return len(view)


# ---- the user's code ----

class ProjectFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports files of the project from the texts that came with the call, so that nothing runs that the fingerprint doesn't cover."""

    def __init__(self, root, sources):
        self.root = root
        self.sources = sources

    def path_of(self, name):
        base = name.replace(".", "/")
        return next((path for path in (base + "/__init__.py", base + ".py") if path in self.sources), None)

    def find_spec(self, name, path=None, target=None):
        file = self.path_of(name)
        prefix = name.replace(".", "/") + "/"
        package = file is not None and file.endswith("/__init__.py")
        folder = file is None and any(source.startswith(prefix) for source in self.sources)
        if file is None and not folder:
            return None
        spec = importlib.util.spec_from_loader(name, self if file else None, is_package=package or folder)
        if file:
            spec.origin = os.path.join(self.root, file)
            spec.has_location = True
        return spec

    def get_source(self, name):
        return self.sources[self.path_of(name)]

    def get_code(self, name):
        return compile(self.get_source(name), os.path.join(self.root, self.path_of(name)), "exec", dont_inherit=True)

    def is_package(self, name):
        return self.path_of(name).endswith("/__init__.py")


def load(call, finder):
    file = call["file"]
    namespace = {"__name__": "tidemill_table", "__file__": os.path.join(finder.root, file), "__builtins__": __builtins__}
    exec(compile(call["sources"][file], namespace["__file__"], "exec", dont_inherit=True), namespace)
    function = namespace.get(call["function"])
    if not callable(function):
        raise Failure("python_function", f"'{call['function']}' is not a function any more when the file has run",
                      "define it once, at the top level of the file")
    return function


# ---- the result ----

def batches_of(result, function):
    """What the function gave as (schema, record batches)."""
    kind = type(result)
    module = kind.__module__.split(".")[0]
    if module == "pandas" and kind.__name__ == "DataFrame":
        result = pa.Table.from_pandas(result, preserve_index=False)
    elif isinstance(result, pa.RecordBatch):
        result = pa.Table.from_batches([result])
    elif not isinstance(result, (pa.Table, pa.RecordBatchReader)) and hasattr(result, "__arrow_c_stream__"):
        result = pa.RecordBatchReader.from_stream(result)
    if isinstance(result, pa.Table):
        return result.schema, result.to_batches(max_chunksize=BATCH_ROWS_MAX)
    if isinstance(result, pa.RecordBatchReader):
        return result.schema, result
    given = "nothing (None)" if result is None else f"a {kind.__module__}.{kind.__qualname__}"
    raise Failure("python_result", f"'{function}' returned {given}, not a table",
                  "return a pyarrow.Table, a RecordBatchReader, or a DataFrame of pandas or polars")


def positions(schema, columns):
    """Where the declared columns are in the result. Others are errors: they would get lost."""
    names = schema.names
    declared = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:
            raise Failure("python_result", f"the result has two columns '{name}'", "rename one of them")
    for name in declared:
        if name not in names:
            raise Failure("python_result", f"the result has no column '{name}'",
                          f"it has {', '.join(names) or 'none'}; 'columns' in the table's YAML file declares {', '.join(declared)}")
    for name in names:
        if name not in declared:
            raise Failure("python_result", f"the result has a column '{name}' that is not declared",
                          f"add it to 'columns' in the table's YAML file, or leave it out: select([{', '.join(map(repr, declared))}])")
    return [names.index(name) for name in declared]


def plain(array):
    """Without dictionaries, run ends and extension types, which only say how values are kept."""
    while True:
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        elif pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        elif hasattr(pa.types, "is_run_end_encoded") and pa.types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        else:
            return array


def is_text(kind):
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == getattr(pa, "string_view", pa.string)()


def is_number(kind):
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


# declared type -> (what may be given for it, what it becomes)
ACCEPTED = {
    "boolean": (lambda kind: pa.types.is_boolean(kind), lambda: pa.bool_()),
    "integer": (lambda kind: is_number(kind) or pa.types.is_boolean(kind), lambda: pa.int64()),
    "number": (lambda kind: is_number(kind), lambda: pa.float64()),
    "text": (is_text, lambda: pa.string()),
    "timestamp": (lambda kind: pa.types.is_timestamp(kind) or pa.types.is_date(kind), lambda: pa.timestamp("us")),
    "date": (lambda kind: pa.types.is_date(kind), lambda: pa.date32()),
}


def converted(array, name, declared):
    array = plain(array)
    accepts, target = ACCEPTED[declared]
    if not pa.types.is_null(array.type) and not accepts(array.type):
        raise Failure("python_type", f"column '{name}' is declared as {declared}, but the result holds {array.type}",
                      "convert it in Python, or declare another type in 'columns' of the table's YAML file")
    try:
        if pa.types.is_timestamp(array.type):  # other units than microseconds are rounded down; zones become UTC
            if array.type.tz is not None:
                array = array.cast(pa.timestamp(array.type.unit, tz="UTC"), safe=False).cast(pa.timestamp(array.type.unit))
            if array.type.unit == "ns":
                array = pc.floor_temporal(array, unit="microsecond")
        # Whole numbers beyond 2^53 become the nearest double, as in SQL; nothing else may lose anything.
        return array.cast(target(), safe=declared not in ("number",))
    except pa.ArrowInvalid as error:
        raise Failure("python_type", f"column '{name}' can't be stored as {declared}: {error}",
                      "convert it in Python, or declare another type in 'columns' of the table's YAML file") from None


def write(result, call):
    schema, batches = batches_of(result, call["function"])
    columns = call["columns"]
    where = positions(schema, columns)
    wanted = pa.schema([(name, ACCEPTED[kind][1]()) for name, kind in columns])
    with io.BufferedWriter(FramesOut(), FRAME_BYTES_MAX) as sink, pa.ipc.new_stream(sink, wanted) as writer:
        for batch in batches:
            rows = max(1, min(BATCH_ROWS_MAX, int(BATCH_ROWS_MAX * BATCH_BYTES_MAX / max(batch.nbytes, BATCH_BYTES_MAX))))
            for start in range(0, batch.num_rows, rows):
                part = batch.slice(start, rows)
                arrays = [converted(part.column(at), name, kind) for at, (name, kind) in zip(where, columns)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=wanted))
    send(b"E")


# ---- errors ----

def place_in(frames, root, sources):
    """The innermost line of the project's own code."""
    for frame in reversed(frames):
        path = os.path.relpath(frame.filename, root)
        if path in sources:
            place = {"file": path, "line": frame.lineno}
            if frame.colno is not None:
                place["column"] = frame.colno + 1
                place["length"] = frame.end_colno - frame.colno if frame.end_lineno == frame.lineno else 1
            return place
    return {}


HINTS = {
    ModuleNotFoundError: "install it for the interpreter of the project ('python' in tidemill.yaml, else .venv, else python3); files of "
                         "the project are imported by their path from the project's folder",
    MemoryError: "work on fewer columns or in batches, or raise python.memory_limit in tidemill.yaml",
    KeyError: "an input has the columns of the table as 'tidemill show' lists them",
}


def describe(error, root, sources):
    if isinstance(error, Failure):
        return dict(error.fields)
    message = " ".join(str(error).split())[:MESSAGE_CHARACTERS_MAX]
    fields = {"code": "python_error", "message": f"{type(error).__name__}: {message}" if message else type(error).__name__,
              "hint": next((hint for kind, hint in HINTS.items() if isinstance(error, kind)), "")}
    if isinstance(error, MemoryError):
        fields["code"] = "python_memory"
    if isinstance(error, SyntaxError) and error.filename and os.path.relpath(error.filename, root) in sources:
        fields["code"] = "python_syntax"
        fields["message"] = f"{type(error).__name__}: {error.msg}"
        fields.update(file=os.path.relpath(error.filename, root), line=error.lineno or 0, column=error.offset or 0)
    else:
        fields.update(place_in(traceback.extract_tb(error.__traceback__), root, sources))
    if fields.get("line"):
        lines = sources[fields["file"]].split("\n")
        if fields["line"] <= len(lines):
            fields["excerpt"] = lines[fields["line"] - 1].rstrip("\r")
    return fields


# ---- calls ----

def serve(call):
    root, sources = call["root"], call["sources"]
    finder = ProjectFinder(root, sources)
    known = set(sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        # All arguments are read before anything can fail, so that the next call finds its own beginning.
        arguments = [FramesIn().table() for _ in call["arguments"]]
        random.seed(0)
        function = load(call, finder)
        write(function(*arguments), call)
        return True
    except BaseException as error:  # whatever user code raises, sys.exit() included
        sys.stdout.flush()
        sys.stderr.flush()
        send(b"F", json.dumps(describe(error, root, sources)).encode("utf-8", "replace"))
        return not isinstance(error, MemoryError)
    finally:
        sys.meta_path.remove(finder)
        # Another table must not find what this one left in a module of the project.
        for name in set(sys.modules) - known:
            if finder.find_spec(name) is not None:
                del sys.modules[name]


def start():
    """Loads Arrow: what takes long and what may be missing."""
    global pa, pc
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
    except ImportError as error:
        raise Failure("python_no_pyarrow", f"the Python at {sys.executable} has no usable pyarrow ({error})",
                      f"install it there: {sys.executable} -m pip install pyarrow; or name another Python with 'python' in tidemill.yaml")
    pa, pc = pyarrow, pyarrow.compute
    pa.set_cpu_count(1)  # sums of floats depend on how threads share the rows
    if hasattr(pa, "set_io_thread_count"):
        pa.set_io_thread_count(1)


def main():
    sys.path[0:1] = []  # the folder of this script
    try:
        start()
    except Failure as failure:
        send(b"F", json.dumps(failure.fields).encode())
        return
    send(b"R", json.dumps({"python": sys.version.split()[0], "pyarrow": pa.__version__}).encode())
    while True:
        kind, payload = receive()
        if kind != b"C" or not serve(json.loads(payload)):
            return
        sys.stdout.flush()
        sys.stderr.flush()


main()
