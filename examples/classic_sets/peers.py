"""Scores River and Vowpal Wabbit on the classic sets: each row is predicted before it is learnt.

usage: peers.py FOLDER SET...

Prints a line `set,model,metric,value` for each model and metric.
"""

import csv
import gzip
import math
import sys
from pathlib import Path

import vowpalwabbit
from river import compose, forest, linear_model, naive_bayes, neighbors, optim, preprocessing, tree

FOLDER, SETS = Path(sys.argv[1]), sys.argv[2:]
MULTICLASS = {"ImageSegments", "digits", "wine", "LED"}
REGRESSION = {"TrumpApproval", "ChickWeights", "diabetes", "Friedman"}


def rows(name):
    """Returns inputs and labels: bools, texts or numbers."""
    with gzip.open(FOLDER / f"{name}.csv.gz", "rt") as lines:
        reader = csv.reader(lines)
        head = next(reader)
        for row in reader:
            x = {}
            for column, cell in zip(head[1:-1], row[1:-1]):
                try:
                    x[column] = float(cell)
                except ValueError:
                    x[f"{column}={cell}"] = 1.0
            label = row[-1]
            if name in REGRESSION:
                yield x, float(label)
            elif name in MULTICLASS:
                yield x, label
            else:
                yield x, label.lower() in ("true", "1", "1.0")


def scaled(model):
    return compose.Pipeline(preprocessing.StandardScaler(), model)


def river_models(name):
    if name in REGRESSION:
        return {
            "River LinearRegression": scaled(linear_model.LinearRegression()),
            "River TargetStandardScaler, LinearRegression": scaled(
                preprocessing.TargetStandardScaler(regressor=linear_model.LinearRegression())
            ),
            "River HoeffdingTreeRegressor": tree.HoeffdingTreeRegressor(),
            "River ARFRegressor": forest.ARFRegressor(seed=1),
            "River AMFRegressor": forest.AMFRegressor(seed=1),
        }
    if name in MULTICLASS:
        return {
            "River SoftmaxRegression": scaled(linear_model.SoftmaxRegression()),
            "River GaussianNB": naive_bayes.GaussianNB(),
            "River HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier(),
            "River ARFClassifier": forest.ARFClassifier(seed=1),
            "River AMFClassifier": forest.AMFClassifier(seed=1),
            "River KNNClassifier": scaled(neighbors.KNNClassifier()),
        }
    return {
        "River LogisticRegression": scaled(linear_model.LogisticRegression()),
        "River LogisticRegression, AdaGrad": scaled(linear_model.LogisticRegression(optim.AdaGrad(0.1))),
        "River LogisticRegression, FTRL": scaled(linear_model.LogisticRegression(optim.FTRLProximal())),
        "River BernoulliNB": scaled(naive_bayes.BernoulliNB()),
        "River HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier(),
        "River ARFClassifier": forest.ARFClassifier(seed=1),
        "River AMFClassifier": forest.AMFClassifier(seed=1),
    }


def river_predictions(model, name):
    for x, y in rows(name):
        if name in REGRESSION:
            yield y, model.predict_one(x)
        else:
            yield y, model.predict_proba_one(x)
        model.learn_one(x, y)


def vw_models(name, classes):
    if name in REGRESSION:
        return {"VW": "", "VW --coin": "--coin"}
    if name in MULTICLASS:
        oaa = f"--oaa {classes} --loss_function logistic --probabilities"
        return {"VW --oaa": oaa, "VW --oaa --ftrl": f"{oaa} --ftrl"}
    logistic = "--loss_function logistic --link logistic"
    models = {"VW": "", "VW --ftrl": "--ftrl", "VW --coin": "--coin", "VW -q ::": "-q ::", "VW --nn 10": "--nn 10"}
    return {name: f"{logistic} {arguments}" for name, arguments in models.items()}


def vw_predictions(arguments, name, classes):
    """Inputs are standardised by what was seen before, as for River."""
    model, scaler = vowpalwabbit.Workspace(f"--quiet {arguments}"), preprocessing.StandardScaler()
    for x, y in rows(name):
        scaler.learn_one(x)
        x = scaler.transform_one(x)
        if name in REGRESSION:
            label = y
        elif name in MULTICLASS:
            label = 1 + classes.index(y)
        else:
            label = 1 if y else -1
        inputs = " ".join(f"{column.replace(':', '_').replace('|', '_')}:{value}" for column, value in x.items())
        found = model.predict(f"| {inputs}")
        if name in MULTICLASS:
            found = dict(zip(classes, found))
        elif name not in REGRESSION:
            found = {True: found, False: 1 - found}
        yield y, found
        model.learn(f"{label} | {inputs}")
    model.finish()


def auc(pairs):
    """The area under the ROC curve; ties count half."""
    ordered, rank_sum, at = sorted(pairs, key=lambda pair: pair[1]), 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end][1] == ordered[at][1]:
            end += 1
        rank_sum += sum(y for y, _ in ordered[at:end]) * (at + end + 1) / 2
        at = end
    positives = sum(y for y, _ in ordered)
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (len(ordered) - positives))


def scores(predictions, name):
    pairs = list(predictions)[1:]
    if name in REGRESSION:
        return {"mae": sum(abs(y - (found or 0.0)) for y, found in pairs) / len(pairs)}
    right = sum(bool(found) and max(found, key=found.get) == y for y, found in pairs)
    result = {"accuracy": right / len(pairs)}
    share = [min(max(found.get(y, 0.0), 1e-15), 1.0) for y, found in pairs]
    result["logloss"] = -sum(math.log(value) for value in share) / len(pairs)
    if name not in MULTICLASS:
        result["auc"] = auc([(y, found.get(True, 0.0)) for y, found in pairs])
    return result


for name in SETS:
    classes = sorted({y for _, y in rows(name)}) if name in MULTICLASS else []
    runs = [(model, river_predictions(built, name)) for model, built in river_models(name).items()]
    runs += [
        (model, vw_predictions(arguments, name, classes))
        for model, arguments in vw_models(name, len(classes)).items()
    ]
    for model, predictions in runs:
        for metric, value in scores(predictions, name).items():
            print(f'{name},"{model}",{metric},{value}', flush=True)
