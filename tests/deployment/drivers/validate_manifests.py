"""Holds manifests against the published schemas of Kubernetes, strictly: run by `make test-manifests` in its own .venv.

    python validate_manifests.py MANIFESTS.json      a JSON list, as manifest_cases.py prints it

Imports nothing of the project. Kinds that are not Kubernetes' own have schemas kept by hand, in schemas/.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

# The oldest that the manifests are made for, and the newest that is published here.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
SCHEMAS = Path(__file__).with_name("schemas")
BY_HAND = {"HTTPRoute": "httproute.json", "InferenceService": "inferenceservice.json"}
NOT_OF_A_POD = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "labels", "annotations")


def check(manifest: dict[str, Any]) -> None:
    """Raises ValidationError."""
    if manifest["kind"] not in BY_HAND:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    schema = json.loads((SCHEMAS / BY_HAND[manifest["kind"]]).read_text())
    jsonschema.Draft202012Validator(schema).validate(manifest)
    if manifest["kind"] == "InferenceService":
        spec = {name: value for name, value in manifest["spec"]["predictor"].items() if name not in NOT_OF_A_POD}
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})


def refuses(manifest: dict[str, Any], change: Any) -> bool:
    """Whether a manifest with a mistake in it is found: a check that cannot fail proves nothing."""
    wrong = copy.deepcopy(manifest)
    change(wrong)
    try:
        check(wrong)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError):
        return True
    return False


def main() -> int:
    manifests = json.loads(Path(sys.argv[1]).read_text())
    failed = 0
    for manifest in manifests:
        try:
            check(manifest)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            failed += 1
            where = ".".join(map(str, error.absolute_path))
            print(f"{manifest['kind']} {manifest['metadata']['name']}: {where}: {error.message}")
    for kind in sorted({one["kind"] for one in manifests}):
        first = next(one for one in manifests if one["kind"] == kind)
        if not refuses(first, lambda one: one["spec"].update(misspelt=True)):
            failed += 1
            print(f"{kind}: a field that does not exist was not found")
    print(f"{len(manifests)} manifests against Kubernetes {', '.join(VERSIONS)}: {failed} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
