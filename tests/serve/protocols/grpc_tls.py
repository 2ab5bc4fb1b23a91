"""tritonclient[grpc] over TLS: arguments are the port, and the certificate of the authority."""

import sys

import grpc
import tritonclient.grpc as triton

client = triton.InferenceServerClient(f"localhost:{sys.argv[1]}", ssl=True, root_certificates=sys.argv[2])
assert client.is_server_live() and client.is_model_ready("large")
plain = triton.InferenceServerClient(f"localhost:{sys.argv[1]}")
try:
    plain.get_server_metadata()
except triton.InferenceServerException as error:
    assert error.status() == f"StatusCode.{grpc.StatusCode.UNAVAILABLE.name}", error
else:
    raise AssertionError("answered without TLS")
print("ok")
