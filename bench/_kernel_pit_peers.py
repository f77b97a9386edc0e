"""Data for the point-in-time joins, and the same with DuckDB. Last line of output: JSON.

    generate FOLDER NAME ROWS
    asof FOLDER SPINE OUT MEMORY_MB RUNS       DuckDB's ASOF joins into Parquet; whether OUT has the same rows in the same order
    windows FOLDER SPINE OUT                   whether 2,000 rows of OUT are what subqueries give
"""
import json
import os
import sys
import time

import duckdb

YEAR_US = 365 * 24 * 3600 * 1_000_000


def moment(salt):
    return f"TIMESTAMP '2024-01-01' + to_microseconds((hash(i + {salt}) % {YEAR_US})::BIGINT)"


def generate(folder, name, rows):
    connection = duckdb.connect()
    for number in (1, 2, 3):
        path = os.path.join(folder, f"v{number}.parquet")
        if os.path.exists(path):
            continue
        connection.execute(f"""
            COPY (SELECT i AS id, (hash(i + {number * 1_000_003}) % 10000)::BIGINT AS entity, {moment(number * 20_000_003)} AS happened,
                  (hash(i + {number * 7}) % 100000) / 100.0::DOUBLE AS a, (hash(i + {number * 11}) % 1000003) / 7.0::DOUBLE AS b,
                  (hash(i + {number * 13}) % 10007) * 0.1::DOUBLE AS c, (hash(i + {number * 17}) % 1000)::BIGINT AS d,
                  (hash(i + {number * 19}) % 100)::BIGINT AS e FROM range(1000000) t(i)) TO '{path}.new' (FORMAT parquet)""")
        os.rename(path + ".new", path)
    path = os.path.join(folder, f"spine_{name}.parquet")
    connection.execute(f"""
        COPY (SELECT i AS id, (hash(i) % 10000)::BIGINT AS entity, {moment(77_777_777)} AS asked_at FROM range({int(rows)}) t(i))
        TO '{path}.new' (FORMAT parquet)""")
    os.rename(path + ".new", path)
    return {}


def asof(folder, spine, out, memory_mb, runs):
    theirs = os.path.join(folder, "asof.parquet")
    columns = ", ".join(f"v{n}.{c} AS v{n}__{c}" for n in (1, 2, 3) for c in "abcde")
    joins = " ".join(f"ASOF LEFT JOIN read_parquet('{folder}/v{n}.parquet') v{n} ON s.entity = v{n}.entity AND s.asked_at >= v{n}.happened"
                     for n in (1, 2, 3))
    seconds = []
    for _ in range(int(runs)):
        connection = duckdb.connect(config={"memory_limit": f"{memory_mb}MiB", "threads": 2, "temp_directory": os.path.join(folder, "tmp_duckdb")})
        start = time.perf_counter()
        connection.execute(f"COPY (SELECT s.*, {columns} FROM read_parquet('{spine}') s {joins}) TO '{theirs}' (FORMAT parquet)")
        seconds.append(time.perf_counter() - start)
        connection.close()
    connection = duckdb.connect(config={"memory_limit": f"{2 * int(memory_mb)}MiB"})
    names = "id, entity, asked_at, " + ", ".join(f"v{n}__{c}" for n in (1, 2, 3) for c in "abcde")
    digests = [connection.execute(f"SELECT count(*), sum(hash({names})) FROM read_parquet('{path}')").fetchone() for path in (theirs, out)]
    ordered = connection.execute(f"SELECT bool_and(id = file_row_number) FROM read_parquet('{out}', file_row_number=true)").fetchone()[0]
    return {"seconds": seconds, "equal": digests[0] == digests[1] and ordered}


def windows(folder, spine, out):
    connection = duckdb.connect()
    ordered = connection.execute(f"SELECT bool_and(id = file_row_number) FROM read_parquet('{out}', file_row_number=true)").fetchone()[0]
    connection.execute(f"CREATE TABLE sample AS SELECT * FROM read_parquet('{out}') WHERE hash(id) % 5000 = 0")
    wrong = 0
    for number in (1, 2, 3):
        wrong += connection.execute(f"""
            WITH rows AS (SELECT s.id, v.*, v.happened > s.asked_at - INTERVAL 7 DAY AS week FROM sample s JOIN read_parquet('{folder}/v{number}.parquet') v
                          ON s.entity = v.entity AND v.happened <= s.asked_at AND v.happened > s.asked_at - INTERVAL 30 DAY),
                 answers AS (SELECT id, count(*) FILTER (WHERE week) AS n7, count(*) AS n30, avg(a) FILTER (WHERE week) AS mean7, avg(a) AS mean30, max(b) AS high FROM rows GROUP BY id)
            SELECT count(*) FROM sample s LEFT JOIN answers w USING (id)
            WHERE v{number}__n_7d <> coalesce(n7, 0) OR v{number}__n_30d <> coalesce(n30, 0) OR v{number}__high_30d IS DISTINCT FROM high
               OR abs(coalesce(v{number}__mean_7d, 0) - coalesce(mean7, 0)) > 1e-9 OR abs(coalesce(v{number}__mean_30d, 0) - coalesce(mean30, 0)) > 1e-9
            """).fetchone()[0]
    return {"equal": bool(ordered) and wrong == 0}


if __name__ == "__main__":
    print(json.dumps({"generate": generate, "asof": asof, "windows": windows}[sys.argv[1]](*sys.argv[2:])))
