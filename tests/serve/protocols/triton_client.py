"""tritonclient with its defaults, which are binary, against an endpoint: arguments are its address, and what it must answer."""

import json
import sys

import numpy as np
import pandas as pd
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

address, expected = sys.argv[1], json.loads(sys.argv[2])
client = triton.InferenceServerClient(address)

assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("large") and client.is_model_ready("large", "1")
assert not client.is_model_ready("larg")
metadata = client.get_server_metadata()
assert metadata["name"] == "tidemill" and "binary_tensor_data" in metadata["extensions"]
index = client.get_model_repository_index()
assert {"name": "large", "version": "2", "state": "READY"} in index, index

frame = pd.DataFrame(expected["orders"])


def tensors(model, binary):
    """One tensor a column, as the metadata list them. A column with a null that is text or a flag is left out."""
    made = []
    for column in client.get_model_metadata(model)["inputs"]:
        values = frame[column["name"]]
        if values.isna().any():
            continue
        if column["datatype"] == "BYTES":
            values = values.to_numpy(dtype=object)
        else:
            values = values.to_numpy()
        for shape in ([len(frame)], [len(frame), 1])[len(made) % 2 :][:1]:
            tensor = triton.InferInput(column["name"], shape, np_to_triton_dtype(values.dtype))
            if binary is None:
                tensor.set_data_from_numpy(values.reshape(shape))
            else:
                tensor.set_data_from_numpy(values.reshape(shape), binary_data=binary)
            made.append(tensor)
    return made


def predictions(model, version):
    answer = []
    for prediction in expected["predictions"][model][version]:
        answer.append(list(prediction.values()) if isinstance(prediction, dict) else prediction)
    return np.array(answer)


for model in ["counted", "levels", "sorts"]:
    # These read amount and items, and country and items as the key of a look-up, which a null does not have.
    for version in ["", "1", "2"]:
        for binary in [None, True, False]:
            answer = client.infer(model, tensors(model, binary), model_version=version, request_id="7")
            assert answer.get_response()["id"] == "7"
            assert answer.get_response()["model_version"] == version or version == ""
            found = answer.as_numpy("predictions")
            assert found.dtype == (np.int64 if model == "sorts" else np.float64)
            if model == "sorts":
                assert (found == predictions(model, version or "2")).all()
            if model == "levels":
                assert found.shape == (3, 3) and np.allclose(found.sum(axis=1), 1)
                assert list(answer.as_numpy("classes")) == [b"high", b"low", b"mid"]

# Every column of the model, with the nulls of a frame as NaN and text as bytes.
whole = frame.assign(vip=frame["vip"].astype("float64"), country=["DE", "FR", "é"])
inputs = []
for name in whole.columns:
    values = whole[name].to_numpy(dtype=object) if whole[name].dtype.kind not in "fib" else whole[name].to_numpy()
    tensor = triton.InferInput(name, [3], np_to_triton_dtype(values.dtype))
    tensor.set_data_from_numpy(values)
    inputs.append(tensor)
found = client.infer("large", inputs).as_numpy("predictions")
assert found[0] == predictions("large", "2")[0] and found.shape == (3,), found

outputs = [triton.InferRequestedOutput("classes", binary_data=False), triton.InferRequestedOutput("predictions")]
answer = client.infer("levels", tensors("levels", None), outputs=outputs, request_compression_algorithm="gzip")
assert list(answer.as_numpy("classes")) == ["high", "low", "mid"] and answer.as_numpy("predictions").shape == (3, 3)
assert client.async_infer("sorts", tensors("sorts", None)).get_result().as_numpy("predictions").shape == (3,)

assert client.get_model_config("large")["input"][0] == {
    "name": "buyer",
    "data_type": "TYPE_STRING",
    "dims": [-1],
    "optional": False,
}
stats = client.get_inference_statistics("large", "2")["model_stats"][0]
assert stats["inference_count"] >= 3 and stats["inference_stats"]["success"]["ns"] > 0, stats

for model, inputs, words in [
    ("larg", inputs, "unknown model larg"),
    ("large", [tensor for tensor in inputs if tensor.name() != "buyer"], "instances[0].buyer: missing"),
]:
    try:
        client.infer(model, inputs)
        raise AssertionError("no error")
    except InferenceServerException as error:
        assert words in error.message(), error
print("ok")
