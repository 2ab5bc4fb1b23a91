"""Compares an endpoint with a feature server of Feast that has the same features, and reads it with Feast's own client.

usage: feast_server.py ADDRESS
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

ADDRESS = sys.argv[1]
ENTITIES = {
    "buyer": Entity(name="buyer", join_keys=["buyer"], value_type=ValueType.STRING),
    "country": Entity(name="country", join_keys=["country"], value_type=ValueType.STRING),
    "items": Entity(name="items", join_keys=["items"], value_type=ValueType.INT64),
}
KEY_TYPES = {"buyer": String, "country": String, "items": Int64}
VIEWS = {
    "spend": {"amount_mean_1h": Float64, "amount_count_1h": Int64, "country_last_1h": String},
    "place": {"items_sum_1d": Int64, "items_max_1d": Int64},
}
KNOWN = {
    "spend": [{"buyer": "ann"}, {"buyer": "a/b c"}],
    "place": [{"country": "DE", "items": 2}],
}


def post(address, path, body):
    """Returns the status and the body of an answer."""
    request = urllib.request.Request(
        f"http://{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def vectors(view):
    """Returns the features of the known entities as the endpoint serves them, as a table for Feast."""
    status, answer = post(ADDRESS, f"/features/{view}", {"entities": KNOWN[view]})
    assert status == 200 and all(result["status"] == "found" for result in answer["results"]), answer
    rows = [{**result["entity"], **result["features"]} for result in answer["results"]]
    table = pd.DataFrame(rows)
    table["event_timestamp"] = pd.Timestamp(answer["watermark"])
    return table


def config(folder, online_store):
    (folder / "feature_store.yaml").write_text(
        f"project: shop\nregistry: {folder}/registry.db\nprovider: local\noffline_store: {{type: file}}\n"
        f"online_store: {online_store}\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(folder))
    views = []
    for name, features in VIEWS.items():
        path = folder / f"{name}.parquet"
        table = vectors(name)
        table.to_parquet(path)
        keys = list(KNOWN[name][0])
        fields = [Field(name=key, dtype=KEY_TYPES[key]) for key in keys]
        fields += [Field(name=feature, dtype=dtype) for feature, dtype in features.items()]
        views.append(
            FeatureView(
                name=name,
                entities=[ENTITIES[key] for key in keys],
                ttl=timedelta(0),
                schema=fields,
                source=FileSource(path=str(path), timestamp_field="event_timestamp"),
            )
        )
    store.apply([*ENTITIES.values(), *views, FeatureService(name="counted", features=[views[1]])])
    return store


def start(folder):
    """Starts a feature server, and returns it with its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("feast"), "-c", folder, "serve", "-p", str(port), "--no-access-log"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"127.0.0.1:{port}"
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"http://{address}/health", timeout=10)
            return server, address
        except OSError:
            assert server.poll() is None, "the feature server of Feast has ended"
            time.sleep(0.1)
    raise AssertionError("the feature server of Feast does not answer")


def columns(answer):
    """Returns the results by name. Feast promises no order of the features."""
    names = answer["metadata"]["feature_names"]
    assert len(names) == len(answer["results"]) == len(set(names)), answer
    at = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    return {
        name: (result["values"], result["statuses"], [at(text) for text in result["event_timestamps"]])
        for name, result in zip(names, answer["results"])
    }


def compare(feast):
    buyers = {"buyer": ["ann", "bob", "a/b c"]}
    places = {"country": ["DE", "FR"], "items": [2, 2]}
    spend = ["spend:amount_mean_1h", "spend:country_last_1h", "spend:amount_count_1h"]
    for request in [
        {"features": spend, "entities": buyers},
        {"features": spend[:1], "entities": {"buyer": ["nobody"]}, "full_feature_names": True},
        {"features": ["place:items_sum_1d", "place:items_max_1d"], "entities": places},
        {"features": ["place:items_sum_1d", *spend], "entities": {**places, "buyer": ["ann", "bob"]}},
        {"feature_service": "counted", "entities": places},
        {"feature_service": "counted", "entities": places, "full_feature_names": True},
        # A key of another view, and a column that is a key of none.
        {"features": spend, "entities": {**buyers, "country": ["DE", "DE", "FR"]}},
        {"features": spend, "entities": {**buyers, "color": ["red", "red", "blue"]}},
    ]:
        (status, theirs), (ours_status, ours) = (post(at, "/get-online-features", request) for at in (feast, ADDRESS))
        assert status == ours_status == 200, (request, theirs, ours)
        assert columns(ours) == columns(theirs), (request, ours, theirs)
    # Errors that Feast's clients make exceptions of.
    for request in [
        {"features": ["spent:amount_mean_1h"], "entities": buyers},
        {"feature_service": "small", "entities": places},
    ]:
        answers = [post(at, "/get-online-features", request) for at in (feast, ADDRESS)]
        kinds = [(status, *(json.loads(body)[field] for field in ("module", "class"))) for status, body in answers]
        assert kinds[0] == kinds[1], (request, answers)


def read_by_client(store):
    """Reads features with the client that Feast has for feature servers."""
    found = store.get_online_features(
        features=["spend:amount_mean_1h", "spend:amount_count_1h", "spend:country_last_1h"],
        entity_rows=[{"buyer": "ann"}, {"buyer": "bob"}, {"buyer": "a/b c"}],
    ).to_dict()
    expected = {
        "buyer": ["ann", "bob", "a/b c"],
        "amount_mean_1h": [12.5, None, 1.0],
        "amount_count_1h": [3, None, 1],
        "country_last_1h": ["DE", None, None],
    }
    assert found == expected, found


def main():
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as remote:
        store = config(Path(own), f"{{type: sqlite, path: {own}/online.db}}")
        for view in VIEWS:
            store.write_to_online_store(view, vectors(view))
        server, feast = start(own)
        try:
            compare(feast)
        finally:
            server.terminate()
            server.wait()
        read_by_client(config(Path(remote), f"{{type: remote, path: 'http://{ADDRESS}'}}"))
    print("ok")


main()
