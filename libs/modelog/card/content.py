"""What a card says, in order: the sections of Mitchell et al., "Model Cards for Model Reporting" (2019), then how the
version was governed and what is missing."""

from modelog.card.about import details
from modelog.card.governed import governance
from modelog.card.measured import analyses
from modelog.pages.parts import Block, Code, Document, Fields, Section, Table, Text, Value
from modelog.pages.words import count, label, number, share, tail
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ANSWERED,
    FINDING_STATE_OPEN,
    DataSet,
    Documentation,
    Phase,
)

_UNRESOLVED = (FINDING_STATE_OPEN, FINDING_STATE_ANSWERED)
_USES = (("intended_use", ""), ("intended_users", "Users"), ("out_of_scope", "Out of scope"))
_DATA = (
    ("data_sources", "Sources"),
    ("data_collection", "Collection"),
    ("data_preprocessing", "Preprocessing"),
    ("data_biases", "Known biases"),
)


def content(card: ModelCard) -> Document:
    """Sections without anything to say are left out; what is required and missing has a section of its own."""
    written = card.version.documentation
    made = (
        details(card),
        _texts(written, "Intended use", *_USES),
        _texts(written, "Factors", ("factors", "")),
        _texts(written, "Metrics", ("measures", "")),
        _evaluation_data(card),
        _training_data(card),
        analyses(card),
        _texts(written, "Assumptions", ("assumptions", "")),
        _texts(written, "Limitations", ("limitations", "")),
        _texts(written, "Ethical considerations", ("ethical_considerations", "")),
        _texts(written, "Caveats and recommendations", ("caveats", ""), ("recommendations", "Recommendations")),
        _resources(written),
        governance(card),
        _missing(card),
    )
    version = card.name.rpartition("/")[2]
    return Document(
        title=card.model.details.title or tail(card.model.name),
        subtitle=f"Version {version} of {tail(card.model.name)}",
        summary=written.summary or card.model.details.description,
        facts=_facts(card),
        sections=[section for section in made if section],
        closing=f"{card.name} as of revision {card.as_of_revision} of the log. "
        f"It is made again by: modelog --at {card.as_of_revision} card {card.name}",
    )


def _facts(card: ModelCard) -> list[tuple[str, str]]:
    version, done = card.version, card.completeness
    known = [
        ("Stage", version.stage),
        ("Phase", Phase.Name(version.phase).removeprefix("PHASE_").lower()),
        ("License", card.model.details.license),
        ("Card", f"{share(done.share)} complete"),
        ("As of", f"revision {card.as_of_revision}"),
    ]
    unresolved = sum(one.state in _UNRESOLVED for one in version.findings)
    if unresolved:
        known.insert(0, ("Findings", f"{unresolved} not resolved"))
    if version.HasField("deprecation"):
        known.insert(0, ("Deprecated", version.deprecation.message or "yes"))
    if card.HasField("quarantine"):
        known.insert(0, ("Quarantined", card.quarantine.reason))
    return [one for one in known if one[1]]


def _texts(written: Documentation, title: str, *fields: tuple[str, str]) -> Section:
    said = [(getattr(written, name), inner) for name, inner in fields]
    return Section(title, [Text(text, inner) for text, inner in said if text.strip()])


def _evaluation_data(card: ModelCard) -> Section:
    written = card.version.documentation.evaluation_data
    blocks: list[Block] = [Text(written)] if written.strip() else []
    for name, one in sorted(card.version.evaluations.items()):
        if one.data_set.ListFields():
            blocks.append(Fields(_data_set(one.data_set), name))
    return Section("Evaluation data", blocks)


def _training_data(card: ModelCard) -> Section:
    blocks: list[Block] = [*_texts(card.version.documentation, "", *_DATA).blocks]
    for number_, one in enumerate(card.version.training_data, 1):
        blocks.append(Fields(_data_set(one), one.name or f"Data set {number_}"))
    return Section("Training data", blocks)


def _data_set(one: DataSet) -> list[tuple[str, Value]]:
    known: list[tuple[str, Value]] = [
        ("Name", one.name),
        ("Kept at", one.uri),
        ("SHA-256", Code(one.sha256) if one.sha256 else ""),
        ("Rows", count(one.rows) if one.rows else ""),
        ("Description", one.description),
        ("Why it was chosen", one.motivation),
        ("Sources", "; ".join(one.sources)),
        ("Collection", one.collection),
        ("Preprocessing", one.preprocessing),
        ("Known biases", one.biases),
        ("Personal data", one.personal_data),
        ("License", one.license),
    ]
    return [row for row in known if row[1]]


def _resources(written: Documentation) -> Section:
    if not written.HasField("resources"):
        return Section("Training resources", [])
    one = written.resources
    known = [
        ("Hardware", one.hardware),
        ("Hours", number(one.hours) if one.hours else ""),
        ("Location", one.location),
        ("Energy", f"{number(one.energy_kwh)} kWh" if one.energy_kwh else ""),
        ("Emissions", f"{number(one.emissions_kg)} kg CO₂ equivalent" if one.emissions_kg else ""),
        ("Found out by", one.method),
    ]
    rows = [row for row in known if row[1]]
    return Section("Training resources", [Fields(rows)] if rows else [])


def _missing(card: ModelCard) -> Section:
    done = card.completeness
    if not done.required_fields:
        return Section("Completeness", [])
    by = "the project's policy" if done.by_policy else "the built-in requirements"
    filled = len(done.required_fields) - len(done.missing)
    told = f"{filled} of {len(done.required_fields)} fields that {by} ask for are filled in ({share(done.share)})."
    blocks: list[Block] = [Text(told)]
    if done.missing:
        blocks.append(Table(["Missing"], [[_said(name)] for name in done.missing]))
    return Section("Completeness", blocks)


def _said(name: str) -> str:
    """`documentation.out_of_scope` as people say it."""
    outer, _, inner = name.partition(".")
    plain = label(inner or outer)
    return plain if outer in ("documentation", "model") or not inner else f"{label(outer)}: {plain}"
