"""Metadata that all objects of one version on one endpoint share."""

from typing import Any

from services.deployment.drivers.kubernetes.names import WORKLOAD, annotations, name_of, workload_labels
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload


def metadata(workload: Workload, options: Options, installation: Installation) -> dict[str, Any]:
    return {
        "name": name_of(workload.key),
        "namespace": options.namespace,
        "labels": workload_labels(installation, workload.key, workload.sha256),
        "annotations": annotations(workload.key, workload.sha256),
    }


def selecting(workload: Workload) -> dict[str, str]:
    """The label by which its pods are found; of a Deployment it can never change."""
    return {WORKLOAD: name_of(workload.key)}
