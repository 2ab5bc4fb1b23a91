"""tritonclient[grpc] with a run and a replica of it: arguments are the addresses of HTTP of the run, of gRPC of the run and of
the replica, and instances. All three must answer with the same bits."""

import json
import sys

import grpc
import numpy as np
import pandas as pd
import tritonclient.grpc as triton
import tritonclient.http as http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

plain = http.InferenceServerClient(sys.argv[1])
run, replica = (triton.InferenceServerClient(address) for address in sys.argv[2:4])
health = health_pb2_grpc.HealthStub(grpc.insecure_channel(sys.argv[3]))
frame = pd.DataFrame(json.loads(sys.argv[4]))

for name in ["", "inference.GRPCInferenceService", "large"]:
    assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
assert replica.is_server_live() and replica.is_server_ready() and replica.is_model_ready("large")
assert replica.get_server_metadata(as_json=True) == run.get_server_metadata(as_json=True)
assert replica.get_model_metadata("large") == run.get_model_metadata("large")


def inputs(kind):
    made = []
    for name in frame.columns:
        values = frame[name].to_numpy(dtype=object) if frame[name].dtype.kind not in "fib" else frame[name].to_numpy()
        tensor = kind.InferInput(name, [len(frame)], np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


for version in ["", "1"]:
    answers = [
        client.infer("large", inputs(kind), model_version=version)
        for client, kind in [(replica, triton), (run, triton), (plain, http)]
    ]
    found = [answer.as_numpy("predictions") for answer in answers]
    assert len(found[0]) == len(frame) and len(np.unique(found[0])) > 10, found[0]
    assert all(one.dtype == found[0].dtype and one.tobytes() == found[0].tobytes() for one in found), found
try:
    replica.infer("large", inputs(triton), model_version="99")
except InferenceServerException as error:
    assert error.status() == f"StatusCode.{grpc.StatusCode.NOT_FOUND.name}", error
else:
    raise AssertionError("there is no version 99")
print("ok")
