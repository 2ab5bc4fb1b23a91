"""Measures a library on the data of learn_speed.

usage: peers.py PEER FOLDER ROWS

Prints the rows that it learns in a second of processor time, and its loss.
"""

import csv
import itertools
import math
import sys
import time
from pathlib import Path

PEER, FOLDER, ROWS = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def vw(name, arguments):
    """Vowpal Wabbit's own driver on its own text format.

    Its loss is that of each row by all rows before; tidemill's is by the rows of the windows before.
    """
    import vowpalwabbit

    path = FOLDER / f"{name}.part.vw"
    with open(FOLDER / f"{name}.vw") as lines, open(path, "w") as part:
        part.writelines(itertools.islice(lines, ROWS))
    begun = time.process_time()
    workspace = vowpalwabbit.Workspace(f"--data {path} --loss_function logistic --quiet {arguments}")
    seconds = time.process_time() - begun
    loss = workspace.get_sum_loss() / workspace.get_weighted_examples()
    workspace.finish()
    path.unlink()
    return ROWS / seconds, loss


def rows(name, count):
    """Returns inputs and labels of the first rows."""
    with open(FOLDER / f"{name}.csv") as lines:
        read = list(itertools.islice(csv.DictReader(lines), count))
    labels = [float(row.pop("y")) for row in read]
    for row in read:
        row.pop("at")
    return read, labels


def river_classifier(model, count):
    """A classifier of River that predicts each example before it learns it."""
    inputs, labels = rows("numbers", count)
    inputs = [{name: float(value) for name, value in row.items()} for row in inputs]
    loss, begun = 0.0, time.process_time()
    for x, y in zip(inputs, labels):
        share = min(max(model.predict_proba_one(x).get(y > 0.5, 0.5), 1e-15), 1.0)
        loss -= math.log(share)
        model.learn_one(x, y > 0.5)
    return count / (time.process_time() - begun), loss / count


def river_matrix_factorization(count):
    from river import reco

    inputs, labels = rows("ratings", count)
    model = reco.BiasedMF(n_factors=16)
    loss, begun = 0.0, time.process_time()
    for x, y in zip(inputs, labels):
        loss += (model.predict_one(x["user"], x["item"]) - y) ** 2
        model.learn_one(x["user"], x["item"], y)
    return count / (time.process_time() - begun), math.sqrt(loss / count)


def lightgbm():
    import lightgbm
    import numpy as np

    table = np.loadtxt(FOLDER / "table.csv", delimiter=",", skiprows=1)
    inputs, labels = table[:, 1:-1], table[:, -1]
    begun = time.process_time()
    data = lightgbm.Dataset(inputs, labels)
    lightgbm.train({"objective": "binary", "num_threads": 1, "verbose": -1}, data, num_boost_round=100)
    return len(labels) / (time.process_time() - begun), math.nan


def main():
    from river import forest, tree

    peers = {
        "vw_numbers": lambda: vw("numbers", "-b 18"),
        "vw_categories": lambda: vw("categories", "-b 18 -q ab"),
        "river_matrix_factorization": lambda: river_matrix_factorization(min(ROWS, 50_000)),
        "river_hoeffding_tree": lambda: river_classifier(tree.HoeffdingTreeClassifier(), min(ROWS, 50_000)),
        "river_forest": lambda: river_classifier(forest.ARFClassifier(n_models=10, seed=1), min(ROWS, 3000)),
        "lightgbm": lightgbm,
    }
    rate, loss = peers[PEER]()
    print(rate, loss)


main()
