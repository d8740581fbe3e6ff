"""A card as a machine-learning bill of materials: CycloneDX 1.6, JSON, with a modelCard."""

import json
import uuid
from typing import Any

from modelog.pages.words import followed, seen
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import DataSet, Evaluation, Fairness, Metric

# Serial numbers are made from what the bill is about, so the same card has the same one (RFC 9562, version 5).
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


def bill_of_materials(card: ModelCard) -> str:
    return json.dumps(bill(card), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def bill(card: ModelCard) -> dict[str, Any]:
    """Deterministic: the timestamp is that of the version's newest fact."""
    identity = f"https://modelog.invalid/{card.name}#{card.as_of_revision}"
    data = [_data(one, f"data-{number}") for number, one in enumerate(card.version.training_data, 1)]
    ancestors = [_ancestor(one.version, one.artifact_sha256) for one in card.ancestors]
    made: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, identity)}",
        "metadata": {
            "component": _component(card, ancestors),
            "properties": [_property("revision", str(card.as_of_revision))],
            "tools": {"components": [{"type": "application", "name": "modelog"}]},
        },
        "components": data,
        "dependencies": [
            {"ref": card.name, "dependsOn": [one["bom-ref"] for one in data]},
            *({"ref": one["bom-ref"]} for one in data),
        ],
    }
    if card.update_time.seconds:
        made["metadata"]["timestamp"] = f"{card.update_time.ToDatetime():%Y-%m-%dT%H:%M:%SZ}"
    return made


def _component(card: ModelCard, ancestors: list[dict[str, Any]]) -> dict[str, Any]:
    model, version = card.model.details, card.version
    made: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": card.name,
        "name": seen(model.title or card.model.name or card.name),
        "version": card.name.rpartition("/")[2],
        "description": seen(version.documentation.summary or model.description),
        "hashes": _hashes(version.artifact.sha256),
        "licenses": [{"license": {"name": seen(model.license)}}] if model.license else [],
        "authors": [{"name": seen(name)} for name in (model.developed_by, *model.owners) if name],
        "externalReferences": _references(card),
        "properties": _properties(card),
        "tags": sorted(seen(f"{name}:{value}" if value else name) for name, value in version.tags.items()),
        "modelCard": _filled(
            {
                "bom-ref": f"{card.name}#card",
                "modelParameters": _parameters(card),
                "quantitativeAnalysis": _filled({"performanceMetrics": _metrics(card)}),
                "considerations": _considerations(card),
            }
        ),
    }
    if ancestors:
        made["pedigree"] = {"ancestors": ancestors}
    return _filled(made)


def _filled(made: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {name: value for name, value in made.items() if value not in ("", [], {}, None)}


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}] if sha256 else []


def _ancestor(name: str, sha256: str) -> dict[str, Any]:
    parts = name.split("/")
    return _filled(
        {
            "type": "machine-learning-model",
            "bom-ref": f"{name}#ancestor",
            "name": seen("/".join(parts[:-2]) or name),
            "version": seen(parts[-1]),
            "hashes": _hashes(sha256),
        }
    )


def _references(card: ModelCard) -> list[dict[str, str]]:
    """Only addresses that may be followed: the schema wants them well formed."""
    named = [("documentation", one.uri, one.title) for one in card.model.details.links]
    named += [("vcs", card.version.source.repository, ""), ("distribution", card.version.artifact.uri, "")]
    return [_filled({"type": kind, "url": uri, "comment": seen(title)}) for kind, uri, title in named if followed(uri)]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"modelog:{name}", "value": seen(value)}


def _properties(card: ModelCard) -> list[dict[str, str]]:
    version = card.version
    known = {
        "stage": version.stage,
        "framework": version.framework,
        "author": version.author,
        "artifact:format": version.artifact.format,
        "artifact:uri": version.artifact.uri,
        "source:repository": version.source.repository,
        "source:commit": version.source.commit,
        "source:path": version.source.path,
        "card:completeness": f"{card.completeness.share:.4g}",
    }
    known |= {f"hyperparameter:{name}": value for name, value in version.hyperparameters.items()}
    return [_property(name, known[name]) for name in sorted(known) if known[name]]


def _parameters(card: ModelCard) -> dict[str, Any]:
    version = card.version
    return _filled(
        {
            "task": seen(card.model.details.task),
            "modelArchitecture": seen(version.documentation.architecture),
            "datasets": [{"ref": f"data-{number}"} for number, _ in enumerate(version.training_data, 1)],
            "inputs": [{"format": seen(one.name)} for one in version.signature.inputs],
            "outputs": [{"format": seen(one.name)} for one in version.signature.outputs],
        }
    )


def _data(one: DataSet, reference: str) -> dict[str, Any]:
    contents = _filled({"url": one.uri if followed(one.uri) else ""})
    described = _filled(
        {
            "type": "dataset",
            "name": seen(one.name),
            "description": seen(one.description),
            "contents": contents,
            "sensitiveData": [seen(one.personal_data)] if one.personal_data else [],
        }
    )
    texts = {
        "collection": one.collection,
        "preprocessing": one.preprocessing,
        "biases": one.biases,
        "sources": "; ".join(one.sources),
        "uri": one.uri,
    }
    return _filled(
        {
            "type": "data",
            "bom-ref": reference,
            "name": seen(one.name or reference),
            "hashes": _hashes(one.sha256),
            "licenses": [{"license": {"name": seen(one.license)}}] if one.license else [],
            "data": [described],
            "properties": [_property(f"data:{name}", texts[name]) for name in sorted(texts) if texts[name]],
        }
    )


def _metrics(card: ModelCard) -> list[dict[str, Any]]:
    """Every metric of every evaluation; `slice` says of which data, of which part, or over which groups."""
    found = []
    known = card.version.evaluations
    for name in sorted(known):
        one = known[name]
        found += [_metric(key, one.metrics[key], name) for key in sorted(one.metrics)]
        found += _of_slices(name, one)
        for part in one.fairness:
            found += _of_groups(name, part)
    return found


def _of_slices(name: str, one: Evaluation) -> list[dict[str, Any]]:
    return [
        _metric(key, part.metrics[key], f"{name}: {part.column}={part.value}")
        for part in one.slices
        for key in sorted(part.metrics)
    ]


def _of_groups(name: str, one: Fairness) -> list[dict[str, Any]]:
    found = [_metric(key, one.metrics[key], f"{name}: over {one.attribute}") for key in sorted(one.metrics)]
    for group in sorted(one.groups):
        counts = one.groups[group]
        found += [
            _metric(key, counts.metrics[key], f"{name}: {one.attribute}={group}") for key in sorted(counts.metrics)
        ]
    return found


def _metric(key: str, one: Metric, part: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": seen(key), "value": repr(one.value), "slice": seen(part)}
    if one.HasField("interval"):
        made["confidenceInterval"] = {
            "lowerBound": repr(one.interval.low),
            "upperBound": repr(one.interval.high),
        }
    return made


def _considerations(card: ModelCard) -> dict[str, Any]:
    said = card.version.documentation
    limits = [said.limitations, said.assumptions, said.caveats]
    uses = [said.intended_use, f"Out of scope: {said.out_of_scope}" if said.out_of_scope else ""]
    ethical = _filled({"name": seen(said.ethical_considerations), "mitigationStrategy": seen(said.recommendations)})
    return _filled(
        {
            "users": [seen(said.intended_users)] if said.intended_users else [],
            "useCases": [seen(one) for one in uses if one],
            "technicalLimitations": [seen(one) for one in limits if one],
            "performanceTradeoffs": [seen(said.measures)] if said.measures else [],
            "ethicalConsiderations": [ethical] if "name" in ethical else [],
            "fairnessAssessments": [
                {"groupAtRisk": seen(part.attribute), "harms": seen(said.data_biases or "see the fairness metrics")}
                for _, one in sorted(card.version.evaluations.items())
                for part in one.fairness
            ],
            "environmentalConsiderations": _environment(card),
        }
    )


def _environment(card: ModelCard) -> dict[str, Any]:
    one = card.version.documentation.resources
    told = {
        "hardware": one.hardware,
        "hours": f"{one.hours:.6g}" if one.hours else "",
        "location": one.location,
        "energy_kwh": f"{one.energy_kwh:.6g}" if one.energy_kwh else "",
        "emissions_kg": f"{one.emissions_kg:.6g}" if one.emissions_kg else "",
        "method": one.method,
    }
    return _filled({"properties": [_property(f"training:{name}", value) for name, value in told.items() if value]})
