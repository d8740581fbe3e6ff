"""The first section: what the model is, who answers for it, and what it was made of."""

from modelog.card.governed import said
from modelog.pages.parts import Block, Code, Fields, Link, Section, Table, Text, Value
from modelog.pages.words import followed, size, tail, time
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import Column, DataType, Property, Version


def details(card: ModelCard) -> Section:
    model, version = card.model.details, card.version
    blocks: list[Block] = []
    if model.description.strip() and version.documentation.summary.strip():
        blocks.append(Text(model.description))
    blocks.append(Fields([row for row in (*_people(card), *_making(card)) if row[1]]))
    if version.documentation.architecture.strip():
        blocks.append(Text(version.documentation.architecture, "Architecture"))
    blocks += _tables(version)
    links: list[tuple[str, Value]] = [
        (one.title or "Link", Link(one.uri, one.uri) if followed(one.uri) else one.uri) for one in model.links
    ]
    if links:
        blocks.append(Fields(links, "Documentation elsewhere"))
    if model.citation.strip():
        blocks.append(Text(model.citation, "Citation"))
    return Section("Model details", blocks)


def _people(card: ModelCard) -> list[tuple[str, Value]]:
    model, version = card.model.details, card.version
    aliases = sorted(name for name, one in card.model.aliases.items() if one.version == card.name)
    return [
        ("Task", model.task),
        ("Developed by", model.developed_by),
        ("Owners", ", ".join(model.owners)),
        (
            "Contact",
            Link(model.contact.removeprefix("mailto:"), model.contact) if followed(model.contact) else model.contact,
        ),
        ("Author of this version", version.author),
        ("License", model.license),
        ("Languages", ", ".join(model.languages)),
        ("Stage", version.stage),
        ("Aliases", ", ".join(aliases)),
        ("Registered", time(version.create_time)),
        ("Last changed", time(version.update_time)),
        ("Tags", _tags(card)),
    ]


def _making(card: ModelCard) -> list[tuple[str, Value]]:
    version = card.version
    file, source = version.artifact, version.source
    deprecation = version.deprecation
    return [
        ("Framework", version.framework),
        ("Artifact", f"{file.format}, {size(file.size_bytes)}" if file.sha256 else ""),
        ("Artifact SHA-256", Code(file.sha256) if file.sha256 else ""),
        ("Artifact kept at", file.uri),
        ("Source code", " ".join(part for part in (source.repository, source.path) if part)),
        ("Commit", Code(source.commit) if source.commit else ""),
        ("Branch", source.branch),
        ("Working tree", "differed from the commit" if source.dirty else ""),
        ("Derived from", " ← ".join(f"{tail(one.version)} ({one.stage})" for one in card.ancestors)),
        ("Copied from", said(version.copied_from)),
        ("Imported from", said(version.origin)),
        ("Marks", ", ".join(version.marks)),
        ("Answers the retraining", version.answers),
        ("Deprecated", time(deprecation.deprecate_time) if version.HasField("deprecation") else ""),
        ("Use instead", deprecation.successor),
        ("To be retired", time(deprecation.sunset_time)),
        ("Archived as", version.record),
    ]


def _tags(card: ModelCard) -> str:
    tags = {**card.model.tags, **card.version.tags}
    return ", ".join(f"{name}={value}" if value else name for name, value in sorted(tags.items()))


def _tables(version: Version) -> list[Block]:
    made: list[Block] = []
    if version.hyperparameters:
        made.append(Fields(sorted(version.hyperparameters.items()), "Hyperparameters"))
    columns = [("input", one) for one in version.signature.inputs] + [
        ("output", one) for one in version.signature.outputs
    ]
    if columns:
        rows = [[side, one.name, _kind(one)] for side, one in columns]
        made.append(Table(["", "column", "type"], rows, "Signature", folded=len(rows) > 12))
    if version.documentation.properties:
        known = version.documentation.properties
        made.append(Fields([(name, property_text(known[name])) for name in sorted(known)], "Properties"))
    return made


def _kind(column: Column) -> str:
    known = DataType.values()
    name = DataType.Name(column.type).removeprefix("DATA_TYPE_").lower() if column.type in known else str(column.type)
    return f"{name} {list(column.shape)}" if column.shape else name


def property_text(one: Property) -> str:
    match one.WhichOneof("value"):
        case "text":
            return one.text
        case "number":
            return f"{one.number:.15g}"
        case "flag":
            return "yes" if one.flag else "no"
        case "time":
            return time(one.time)
    return ""
