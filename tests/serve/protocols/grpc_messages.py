"""Prints, for each message of the services, its name and its bytes with every field set, by the descriptors of the clients. A
message with a choice has a line for each."""

from google.protobuf.descriptor import FieldDescriptor as Field
from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2

METHODS = ["ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"]
INFERENCE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]


def value(field):
    """A value that is not the default, and differs from field to field."""
    match field.cpp_type:
        case Field.CPPTYPE_BOOL:
            return True
        case Field.CPPTYPE_STRING:
            text = f"{field.name} é"
            return text.encode() if field.type == Field.TYPE_BYTES else text
        case Field.CPPTYPE_FLOAT | Field.CPPTYPE_DOUBLE:
            return field.number + 0.5
        case Field.CPPTYPE_ENUM:
            return 1
        case _:
            return field.number


def fill(message, choice=0):
    """Sets every field, of a oneof the one at a position."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof and field.containing_oneof.fields[choice] != field:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            fill(getattr(message, field.name)["key"])
        elif field.message_type and field.is_repeated:
            for _ in range(2):
                fill(getattr(message, field.name).add())
        elif field.message_type:
            fill(getattr(message, field.name))
        elif field.is_repeated:
            getattr(message, field.name).extend([value(field)] * 3)
        else:
            setattr(message, field.name, value(field))
    return message


messages = [HEALTH.methods_by_name["Check"]] + [INFERENCE.methods_by_name[name] for name in METHODS]
for method in messages:
    for descriptor in [method.input_type, method.output_type]:
        message = descriptor._concrete_class()
        print(descriptor.name, fill(message).SerializeToString(deterministic=True).hex())
for choice in range(5):
    message = fill(service_pb2.InferParameter(), choice)
    print("InferParameter", message.SerializeToString(deterministic=True).hex())
assert len(service_pb2.InferParameter.DESCRIPTOR.oneofs[0].fields) == 5
