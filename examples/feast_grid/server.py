"""Starts a feature server of Feast that has the features of an endpoint, in Redis.

usage: server.py ADDRESS REDIS VIEWS ENTITIES

Prints the address of the feature server, and stops it at the end of the standard input.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

ADDRESS, REDIS = sys.argv[1:3]
VIEWS, ENTITIES = map(int, sys.argv[3:5])


def vectors(view):
    """Returns the features of all entities as the endpoint serves them."""
    body = json.dumps({"entities": [{"user": user} for user in range(ENTITIES)]}).encode()
    request = urllib.request.Request(f"http://{ADDRESS}/features/{view}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        answer = json.load(answer)
    table = pd.DataFrame([{**result["entity"], **result["features"]} for result in answer["results"]])
    table["event_timestamp"] = pd.Timestamp(answer["watermark"])
    return table


def load(folder):
    """Makes a repository of Feast in a folder, and writes the features to Redis."""
    (folder / "feature_store.yaml").write_text(
        f"project: grid\nregistry: {folder}/registry.db\nprovider: local\noffline_store: {{type: file}}\n"
        f"online_store: {{type: redis, connection_string: '{REDIS}'}}\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(folder))
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
    tables = {f"g{view}": vectors(f"g{view}") for view in range(VIEWS)}
    views = []
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        table.to_parquet(path)
        features = [column for column in table.columns if column not in ("user", "event_timestamp")]
        fields = [Field(name=name, dtype=Int64 if "count" in name else Float64) for name in features]
        source = FileSource(path=str(path), timestamp_field="event_timestamp")
        schema = [Field(name="user", dtype=Int64), *fields]
        views.append(FeatureView(name=name, entities=[user], ttl=timedelta(0), schema=schema, source=source))
    store.apply([user, *views])
    for name, table in tables.items():
        store.write_to_online_store(name, table)


def main():
    with tempfile.TemporaryDirectory() as folder:
        load(Path(folder))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [Path(sys.executable).with_name("feast"), "-c", folder, "serve", "-p", str(port), "--no-access-log"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10)
                    break
                except OSError:
                    assert server.poll() is None, "the feature server of Feast has ended"
                    time.sleep(0.1)
            print(f"127.0.0.1:{port}", flush=True)
            sys.stdin.read()
        finally:
            server.terminate()
            server.wait()


main()
