"""MLflow's client of a scoring server against an endpoint: arguments are its address, and what it must answer."""

import json
import sys

import pandas as pd
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

address, expected = sys.argv[1], json.loads(sys.argv[2])
client = ScoringServerClient(*address.split(":"))
client.ping()

frame = pd.DataFrame(expected["orders"])
for model in ["large", "counted", "levels", "sorts"]:
    for version in ["1", "2"]:
        params = {"model": model, "version": int(version)}
        found = client.invoke(frame, params=params)
        assert found["predictions"] == expected["predictions"][model][version], found
        assert len(found.get_predictions()) == 3
        found = client.invoke(expected["orders"], params=params)
        assert found["predictions"] == expected["predictions"][model][version], found

# A frame with a missing number, which the client writes as NaN.
missing = frame.assign(age=[41.0, None, 7.0])
assert missing["age"].isna().any()
assert len(client.invoke(missing, params={"model": "large"}).get_predictions()) == 3

csv = requests.post(
    f"http://{address}/invocations",
    data=frame.to_csv(index=False).encode(),
    headers={"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": "large"},
)
assert csv.json() == {"predictions": expected["predictions"]["large"]["2"]}, csv.text

try:
    client.invoke(frame.drop(columns="buyer"), params={"model": "large"})
    raise AssertionError("no error")
except Exception as error:
    assert "instances[0].buyer: missing" in str(error), error
print("ok")
