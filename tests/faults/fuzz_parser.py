"""The parser under a fuzzer that watches which code it reaches: `python -m tests.faults.fuzz_parser -runs=20000`.

atheris is not in the lock, as it is not built for every machine; where it is installed, test_fuzz.py runs this.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["kernel"]):
    from kernel.errors import Invalid
    from kernel.parsing import parse
from google.protobuf import message_factory

from modelog.archive.v1 import archive_service_pb2
from modelog.deployment.v1 import deployment_service_pb2
from modelog.monitoring.v1 import monitoring_service_pb2
from modelog.registry.v1 import registry_service_pb2

REQUESTS = [
    message_factory.GetMessageClass(method.input_type)
    for module in (registry_service_pb2, deployment_service_pb2, monitoring_service_pb2, archive_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def one(data: bytes) -> None:
    """The first byte chooses the request; a request is accepted or refused, and nothing else."""
    if data:
        with suppress(Invalid):
            parse(REQUESTS[data[0] % len(REQUESTS)], data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
