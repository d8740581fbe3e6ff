"""From facts to what a driver runs."""

from modelog.deployment.v1.environments_pb2 import SecretRef
from modelog.deployment.v1.types_pb2 import Endpoint, Environment, KnownVersion
from modelog.registry.v1 import types_pb2 as registry
from services.deployment.drivers.port import Key, Secret, Workload

_DATATYPES = {
    registry.DATA_TYPE_BOOL: "BOOL",
    registry.DATA_TYPE_INT32: "INT32",
    registry.DATA_TYPE_INT64: "INT64",
    registry.DATA_TYPE_FLOAT32: "FP32",
    registry.DATA_TYPE_FLOAT64: "FP64",
    registry.DATA_TYPE_STRING: "BYTES",
    registry.DATA_TYPE_BYTES: "BYTES",
}


def workload_of(endpoint: Endpoint, version: KnownVersion, environment: Environment) -> Workload:
    """Columns of the signature become columns of requests; a signature of tensors leaves the model its own names."""
    signature = version.signature
    single = not any(column.shape for column in signature.inputs)
    return Workload(
        key=Key(endpoint.name, version.name),
        replicas=endpoint.replicas,
        uri=version.artifact.uri,
        sha256=version.approved_sha256 or version.artifact.sha256,
        format=version.artifact.format,
        inputs=tuple((one.name, _DATATYPES.get(one.type, "FP32")) for one in signature.inputs) if single else (),
        outputs=tuple((one.name, _DATATYPES.get(one.type, "FP32")) for one in signature.outputs),
        settings=dict(environment.driver_settings),
        revision=version.revision,
        secrets=tuple(_secret(variable, ref) for variable, ref in sorted(environment.secrets.items())),
    )


def _secret(variable: str, ref: SecretRef) -> Secret:
    source = ref.WhichOneof("source") or ""
    if source == "kubernetes_secret":
        return Secret(variable, source, ref.kubernetes_secret.secret, ref.kubernetes_secret.key)
    return Secret(variable, source, ref.file or ref.environment_variable)
