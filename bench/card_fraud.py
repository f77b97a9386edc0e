"""The model result: what the models of examples/card_fraud reach, beside the Fraud Detection Handbook's published figures.

A row is a figure; `equal` tells whether it lies within .02 of the published one. The handbook's boosted model is XGBoost.
"""
import json
import os
import shutil
import subprocess

from _kernel_tools import payments
from run import PROGRAM, ROOT, WORK, failure, row

PUBLISHED = {  # AUC, average precision, card precision at 100
    "logistic": (0.871, 0.606, 0.291),
    "tree_depth_2": (0.763, 0.496, 0.241),
    "tree": (0.788, 0.309, 0.243),
    "forest": (0.867, 0.658, 0.287),
    "boosted": (0.862, 0.639, 0.273),
}
OTHER_ALGORITHM = {"forest"}  # rows are drawn without putting them back, and splits are at bins: shown, not judged
FIGURES = ("auc", "average_precision", "precision_at_100")
ROWS = {"train": 67_240, "test": 58_264}
FRAUDS = 385
NEAR = 0.02


def tidemill(folder, *arguments):
    return subprocess.run([PROGRAM, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def project():
    """A fresh copy of the example with the payments in it."""
    folder = os.path.join(WORK, "card_fraud")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "examples", "card_fraud"), folder, ignore=shutil.ignore_patterns("data", ".tidemill"))
    os.makedirs(os.path.join(folder, "data"))
    os.link(payments(), os.path.join(folder, "data", "payments.parquet"))
    return folder


def find(value, key):
    """The first thing of that name in nested mappings."""
    if not isinstance(value, dict):
        return None
    if key in value:
        return value[key]
    return next((found for found in (find(inner, key) for inner in value.values()) if found is not None), None)


def rows_of(folder, model, published):
    shown = json.loads(tidemill(folder, "models", "show", model, "--json"))
    metrics = find(shown, "metrics")
    counts = {"train": find(shown, "train"), "test": metrics["rows"]}
    if counts != ROWS or metrics["positives"] != FRAUDS:
        raise ValueError(f"{model} was trained and judged on {counts} rows with {metrics['positives']} frauds, not {ROWS} with {FRAUDS}")
    return [row(f"card_fraud_{model}_{figure}", [metrics[figure]], "", [value], "published",
                equal=None if model in OTHER_ALGORITHM else abs(metrics[figure] - value) <= NEAR)
            for figure, value in zip(FIGURES, published)]


def run():
    folder = project()
    tidemill(folder, "run")
    rows = []
    for model, published in PUBLISHED.items():
        try:
            rows += rows_of(folder, model, published)
        except Exception as error:
            rows.append(failure(f"card_fraud_{model}", error))
    return rows
