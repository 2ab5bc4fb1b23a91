"""The client of clients/python against a job of dataflows/fraud.toml: arguments are its URL and the examples of a replay."""

import math
import sys
import time

import tidemill
from tidemill import BadRequest, Client, Explanation, Model, NotFound, NotReachable, Prediction, load_examples

url, examples = sys.argv[1:]
client = Client(url)
assert client.is_ready()

# The job has read its files, and still makes versions of what it has read.
known = None
while client.models() != known:
    known = client.models()
    time.sleep(1)


def raises(kind, call, text=""):
    try:
        call()
    except kind as error:
        assert text in str(error), error
        return error
    raise AssertionError(f"expected {kind.__name__}")


# Models.
(model,) = client.models()
assert isinstance(model, Model) and model.name == "fraud" and model.kind == "logistic", model
assert model.champion in model.versions and client.model("fraud") == model
versions = client.versions("fraud")
assert [version["version"] for version in versions] == list(model.versions)

# Predictions.
instances = [
    {"customer": "9", "terminal": "11", "amount": 51.63, "at": "2025-03-01T12:00:00Z"},
    {"customer": "nobody", "terminal": "nowhere", "amount": 1.0},
]
prediction = client.predict(instances, model="fraud", features=True)
assert isinstance(prediction, Prediction) and prediction.version == model.champion
assert len(prediction.predictions) == 2 and all(0 < one < 1 for one in prediction.predictions)
assert prediction.features[0]["amount"] == 51.63 and prediction.watermark.endswith("Z")
older = client.predict(instances, version=model.versions[0])
assert older.version == model.versions[0] and older.features is None
explained = client.predict(instances, features=True, explain=True)
assert older.explanations is None and prediction.explanations is None and len(explained.explanations) == 2
for one, explanation, inputs in zip(explained.predictions, explained.explanations, explained.features):
    assert isinstance(explanation, Explanation) and set(explanation.contributions) >= set(inputs)
    odds = explanation.base + sum(explanation.contributions.values())
    assert abs(1 / (1 + math.exp(-odds)) - one) < 1e-12, (odds, one)
error = raises(BadRequest, lambda: client.predict([{"customer": "9"}]), "terminal")
assert error.status == 400
raises(NotFound, lambda: client.predict(instances, version=10_000))
raises(ValueError, lambda: client.predict([{**instances[0], "amount": float("nan")}]))

# Features.
vector = client.features("customer", 9)
assert vector.entity == {"customer": "9"} and vector.features["payments_30d"] >= 0, vector
raises(NotFound, lambda: client.features("customer", "no/body"))
vectors = client.entities("customer", [{"customer": "9"}, {"customer": "nobody"}])
assert [result.status for result in vectors.results] == ["found", "not_found"]
assert vectors.results[0].features == vector.features and vectors.results[1].features is None

# Scores and moves.
scores = client.scores("fraud", metric="logloss")
assert scores.metric == "logloss" and len(scores.points) >= 3
scored = [point for point in scores.points if point.champion is not None]
assert scored and scored[-1].champion > 0 and scored[-1].no_skill > 0
chosen = model.versions[2]
move = client.promote("fraud", chosen, reason="a test")
assert move.aliases["champion"] == chosen and move.reason == "a test"
assert client.history("fraud")[-1].aliases == move.aliases
assert client.predict(instances).version == chosen
back = client.rollback("fraud")
assert (back.aliases["champion"], back.reverts) == (model.champion, move.number), (back, move)
raises(NotFound, lambda: client.promote("fraud", 10_000))

# Examples.
frame = load_examples(examples)
labelled = load_examples(examples, labelled_only=True)
assert 0 < len(labelled) < len(frame), (len(labelled), len(frame))
assert str(frame["_time"].dtype).endswith("UTC]") and frame["_time"].is_monotonic_increasing
assert set(labelled["_label"].unique()) <= {0.0, 1.0} and "customer.payments_30d" in frame.columns
raises(ValueError, lambda: Client("127.0.0.1:1"))
raises(NotReachable, lambda: Client("http://127.0.0.1:1", timeout=1).models())
assert sorted(tidemill.__all__) == tidemill.__all__ or set(tidemill.__all__) <= set(dir(tidemill))
print("ok")
