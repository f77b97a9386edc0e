"""The point-in-time join in Feast with its DuckDB store: FOLDER SPINE OUT RUNS. Last line of output: JSON; `equal` compares with OUT."""
import json
import os
import resource
import shutil
import sys
import time
from datetime import timedelta

import duckdb
import pandas
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

folder, spine, out, runs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
repository = os.path.join(folder, "feast")
shutil.rmtree(repository, ignore_errors=True)
os.makedirs(repository)
with open(os.path.join(repository, "feature_store.yaml"), "w", encoding="utf-8") as file:
    file.write("project: pit\nprovider: local\nregistry: registry.db\noffline_store: {type: duckdb}\nonline_store: {type: sqlite, path: online.db}\n"
               "entity_key_serialization_version: 3\n")
store = FeatureStore(repo_path=repository)
entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
views = []
for number in (1, 2, 3):
    source = FileSource(path=os.path.abspath(os.path.join(folder, f"v{number}.parquet")), timestamp_field="happened")
    fields = [Field(name=name, dtype=Float64) for name in "abc"] + [Field(name=name, dtype=Int64) for name in "de"]
    views.append(FeatureView(name=f"v{number}", entities=[entity], ttl=timedelta(0), schema=fields, source=source))
store.apply([entity, *views])
features = [f"v{number}:{name}" for number in (1, 2, 3) for name in "abcde"]
asked = pandas.read_parquet(spine).rename(columns={"asked_at": "event_timestamp"})
seconds = []
for _ in range(runs):
    start = time.perf_counter()
    joined = store.get_historical_features(entity_df=asked, features=features, full_feature_names=True).to_df()
    seconds.append(time.perf_counter() - start)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
names = ", ".join(f"CAST(v{number}__{name} AS DOUBLE)" for number in (1, 2, 3) for name in "abcde")
connection = duckdb.connect()
connection.register("joined", joined)
digests = [connection.execute(f"SELECT count(*), sum(hash(id, {names})) FROM {relation}").fetchone() for relation in ("joined", f"read_parquet('{out}')")]
print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, "equal": digests[0] == digests[1]}))
