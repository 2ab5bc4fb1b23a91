"""tritonclient[grpc] with its defaults and the stubs under it: arguments are the address of HTTP, that of gRPC, and what must
be answered. What both transports answer must be the same bits."""

import json
import sys

import grpc
import numpy as np
import pandas as pd
import tritonclient.grpc as triton
import tritonclient.http as http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

expected = json.loads(sys.argv[3])
plain = http.InferenceServerClient(sys.argv[1])
client = triton.InferenceServerClient(sys.argv[2])
channel = grpc.insecure_channel(sys.argv[2])
stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
health = health_pb2_grpc.HealthStub(channel)


def refused(code, words, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code and words in error.details(), error
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{code.name}" and words in error.message(), error
    else:
        raise AssertionError(f"no error: {words}")


# Health, readiness, metadata.
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("large") and client.is_model_ready("large", "1")
refused(grpc.StatusCode.NOT_FOUND, "unknown model larg", lambda: client.is_model_ready("larg"))
refused(grpc.StatusCode.NOT_FOUND, "no version 9", lambda: client.is_model_ready("large", "9"))
for name in ["", "inference.GRPCInferenceService", "large"]:
    assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
refused(grpc.StatusCode.NOT_FOUND, "unknown model", lambda: health.Check(health_pb2.HealthCheckRequest(service="no")))
refused(grpc.StatusCode.UNIMPLEMENTED, "unknown route", lambda: next(health.Watch(health_pb2.HealthCheckRequest())))
refused(grpc.StatusCode.UNIMPLEMENTED, "unknown route", lambda: client.get_model_config("large"))
assert client.get_server_metadata(as_json=True) == plain.get_server_metadata()


def normal(metadata):
    """Metadata of gRPC as JSON has numbers of 64 bits as text."""
    for tensor in metadata["inputs"] + metadata["outputs"]:
        tensor["shape"] = [int(size) for size in tensor["shape"]]
    return metadata


frame = pd.DataFrame(expected["orders"])
whole = frame.assign(vip=frame["vip"].astype("float64"), country=["DE", "FR", "é"])


def inputs(kind, columns):
    made = []
    for at, name in enumerate(columns):
        values = whole[name].to_numpy(dtype=object) if whole[name].dtype.kind not in "fib" else whole[name].to_numpy()
        shape = [[len(whole)], [len(whole), 1]][at % 2]
        tensor = kind.InferInput(name, shape, np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values.reshape(shape))
        made.append(tensor)
    return made


def compare(found, other, names=("predictions",)):
    for name in names:
        one, two = found.as_numpy(name), other.as_numpy(name)
        assert one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes(), (name, one, two)


names = list(whole.columns)
for model in ["large", "counted", "levels", "sorts"]:
    assert normal(client.get_model_metadata(model, as_json=True)) == plain.get_model_metadata(model), model
    for version in ["", "1", "2"]:
        answer = client.infer(model, inputs(triton, names), model_version=version, request_id="7")
        other = plain.infer(model, inputs(http, names), model_version=version, request_id="7")
        compare(answer, other)
        if model == "levels":
            assert list(answer.as_numpy("classes")) == list(other.as_numpy("classes")) == [b"high", b"low", b"mid"]
        response, same = answer.get_response(), other.get_response()
        assert (response.id, response.model_name, response.model_version) == ("7", model, same["model_version"])
        watermark = response.parameters["watermark"].string_param
        assert watermark == same["parameters"]["watermark"]

zipped = client.infer("large", inputs(triton, names), compression_algorithm="gzip")
compare(zipped, plain.infer("large", inputs(http, names)))
refused(
    grpc.StatusCode.UNIMPLEMENTED,
    'content encoding "deflate"',
    lambda: client.infer("large", inputs(triton, names), compression_algorithm="deflate"),
)
asked = [triton.InferRequestedOutput("classes"), triton.InferRequestedOutput("predictions")]
answer = client.infer("levels", inputs(triton, names), outputs=asked)
assert [output.name for output in answer.get_response().outputs] == ["classes", "predictions"]

# Typed contents are answered with typed contents.
orders = expected["orders"]


def typed(model="levels", parameters=None, outputs=(), **changes):
    """A request with `contents`, but for columns that are changed: a datatype with its values."""
    given = {
        "buyer": ("BYTES", "bytes_contents", [order["buyer"].encode() for order in orders]),
        "country": ("BYTES", "bytes_contents", [b"DE", b"FR", "é".encode()]),
        "amount": ("FP64", "fp64_contents", [order["amount"] for order in orders]),
        "items": ("INT64", "int64_contents", [order["items"] for order in orders]),
        **changes,
    }
    request = pb.ModelInferRequest(model_name=model)
    for name, (datatype, field, values) in given.items():
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        getattr(tensor.contents, field).extend(values)
    for name in outputs:
        request.outputs.add(name=name)
    for name, value in (parameters or {}).items():
        kind = {bool: "bool_param", str: "string_param", int: "int64_param"}[type(value)]
        setattr(request.parameters[name], kind, value)
    return request


def contents(model, response):
    assert not response.raw_output_contents
    values = response.outputs[0].contents
    return list(values.int64_contents if model == "sorts" else values.fp64_contents)


for model in ["large", "counted", "levels", "sorts"]:
    left = ["buyer", "country", "amount", "items"]
    raw = plain.infer(model, inputs(http, left)).as_numpy("predictions").flatten().tolist()
    for datatype, field in [
        ("INT8", "int_contents"),
        ("INT16", "int_contents"),
        ("INT32", "int_contents"),
        ("INT64", "int64_contents"),
        ("UINT8", "uint_contents"),
        ("UINT16", "uint_contents"),
        ("UINT32", "uint_contents"),
        ("UINT64", "uint64_contents"),
        ("FP32", "fp32_contents"),
    ]:
        request = typed(model, items=(datatype, field, [order["items"] for order in orders]))
        assert contents(model, stub.ModelInfer(request)) == raw, (model, datatype)
flags = typed("large", vip=("BOOL", "bool_contents", [True, False, True]))
assert contents("large", stub.ModelInfer(flags)) != contents("large", stub.ModelInfer(typed("large")))
classes = stub.ModelInfer(typed()).outputs[1].contents.bytes_contents
assert list(classes) == [b"high", b"low", b"mid"]
mixed = stub.ModelInfer(typed(parameters={"binary_data_output": True, "content_type": "pd"}))
assert len(mixed.raw_output_contents) == 2 and not mixed.outputs[0].HasField("contents")
none = stub.ModelInfer(pb.ModelInferRequest(model_name="large", inputs=[pb.ModelInferRequest.InferInputTensor(name="amount", datatype="FP64", shape=[0])]))
assert list(none.outputs[0].shape) == [0]

# Mistakes.
BAD = grpc.StatusCode.INVALID_ARGUMENT


def wrong(words, request, code=BAD):
    refused(code, words, lambda: stub.ModelInfer(request))


wrong("unknown model larg", typed("larg"), grpc.StatusCode.NOT_FOUND)
request = typed("large")
request.model_version = "9"
wrong("no version 9", request, grpc.StatusCode.NOT_FOUND)
request.model_version = "champion"
wrong('version: expected int, found "champion"', request)
wrong("instances[0].amount: missing", pb.ModelInferRequest(model_name="large", inputs=[request.inputs[0]]))
wrong("inputs: expected a tensor for each column", pb.ModelInferRequest(model_name="large"))
wrong("value 1: 300 is not of type INT8", typed(items=("INT8", "int_contents", [1, 300, 2])))
wrong("values of INT64 in another field than int64_contents", typed(items=("INT64", "int_contents", [1, 2, 3])))
wrong("FP16 has no contents", typed(amount=("FP16", "fp32_contents", [1, 2, 3])))
wrong("text 1 is not UTF-8", typed(country=("BYTES", "bytes_contents", [b"DE", b"\xff", b"FR"])))
wrong('datatype "FP63"', typed(amount=("FP63", "fp64_contents", [1, 2, 3])))
wrong("it has 2 rows and buyer has 3", typed(items=("INT64", "int64_contents", [1, 2])))
wrong("unknown output score", typed(outputs=["score"]))
wrong("predictions is asked for twice", typed(outputs=["predictions", "predictions"]))
wrong("unknown parameter priority", typed(parameters={"priority": 3}))
wrong("parameters.binary_data_output: expected a bool", typed(parameters={"binary_data_output": "yes"}))
request = typed()
request.raw_input_contents.append(b"")
wrong("raw_input_contents: 1 of them for 4 inputs", request)
request.raw_input_contents.extend([b""] * 3)
wrong("both contents and raw_input_contents", request)
request = typed()
request.inputs[0].shape[:] = [-3]
wrong("shape [-3]; expected sizes that are not negative", request)
request = pb.ModelInferRequest(model_name="large", inputs=[pb.ModelInferRequest.InferInputTensor()] * 20_000)
wrong("the message has 20001 fields", request)

# A large batch, and one beyond the limit of the body.
rows = 20_000
large = pb.ModelInferRequest(model_name="sorts")
values = {"amount": ("FP64", np.arange(rows) * 0.37), "items": ("INT64", np.arange(rows) % 7)}
for name, (datatype, column) in values.items():
    large.inputs.add(name=name, datatype=datatype, shape=[rows])
    large.raw_input_contents.append(column.tobytes())
found = np.frombuffer(stub.ModelInfer(large).raw_output_contents[0], dtype=np.int64)
batch = [http.InferInput("amount", [rows], "FP64"), http.InferInput("items", [rows], "INT64")]
batch[0].set_data_from_numpy(values["amount"][1])
batch[1].set_data_from_numpy(values["items"][1])
assert found.tobytes() == plain.infer("sorts", batch).as_numpy("predictions").tobytes() and len(found) == rows
for tensor in large.inputs:
    tensor.shape[0] = 4 * rows
large.raw_input_contents[:] = [4 * raw for raw in large.raw_input_contents]
wrong("the body is larger than 1048576 bytes", large, grpc.StatusCode.RESOURCE_EXHAUSTED)

# Calls at the same time on one channel, some of which are cancelled.
calls = [stub.ModelInfer.future(typed("large")) for _ in range(100)]
for call in calls[::3]:
    call.cancel()
one = contents("large", stub.ModelInfer(typed("large")))
assert all(contents("large", call.result()) == one for at, call in enumerate(calls) if at % 3)
print("ok")
