"""The whole loop on real flights: what scripts/demo measures in an empty folder. There is no peer that does all of it."""
import json
import os
import shutil
import subprocess

from run import ROOT, WORK, row

RUNS = 1  # Minutes each: the loop, and a replay of 35 weeks.


def run():
    folder = os.path.join(WORK, "loop")
    summaries = []
    for _ in range(RUNS):
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run([os.path.join(ROOT, "scripts", "demo"), "--fresh", "--json", "--folder", folder],
                              stdout=subprocess.PIPE, check=True)
        summaries.append(json.loads(done.stdout))
    equal = all(each["batch_equals_online"] and each["reproduce_equal"] for each in summaries)
    return [
        row("loop_to_served_model", [each["seconds_to_served_model"] for each in summaries], "s", equal=equal),
        row("loop_replay", [each["replay_seconds"] for each in summaries], "s"),
        row("loop_peak_memory", [each["peak_memory_mb"] for each in summaries], "MB"),
    ]
