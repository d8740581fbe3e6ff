"""A small log with a life in it, and packs made of it without any service."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message

from modelog.archive.v1.types_pb2 import Checkpoint, TreeHead
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1.types_pb2 import TrafficShare
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as alerts
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.monitoring.v1.types_pb2 import OUTCOME_FAILED, OUTCOME_OK, CheckResult, Window
from modelog.packs.evidence import Evidence
from modelog.packs.folder import PREDICATE, as_json, files_of, write
from modelog.packs.listing import listed
from modelog.packs.parts import Chapter, Content
from modelog.packs.scope import RULES, Selection
from modelog.provenance.envelopes import seal
from modelog.provenance.keys import Key, key_of
from modelog.provenance.statements import STATEMENT
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import Model, ModelDetails
from modelog.sdk.facts import Entry
from services.archive.bundle import proof_text
from tests.archive.trees import ORIGIN, VKEY, Log

PROJECT = "projects/risk"
MODEL = f"{PROJECT}/models/fraud"
VERSION = f"{MODEL}/versions/1"
ENDPOINT = f"{PROJECT}/endpoints/eu"
MONITOR = f"{PROJECT}/monitors/eu"
BEGIN = 1_700_000_000
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIGNER: Key = key_of(SIGNING.public_key())


def window(outcome: Any, version: str = VERSION) -> monitoring.WindowEvaluated:
    return monitoring.WindowEvaluated(window=Window(version=version), results=[CheckResult(outcome=outcome)])


# One fact a minute.
STORY: Sequence[tuple[str, Message]] = (
    (PROJECT, registry.ProjectCreated(title="Risk")),
    (MODEL, registry.ModelCreated(details=ModelDetails(title="=fraud", owners=["users/ada"]))),
    (f"{PROJECT}/models/fraudulent", registry.ModelCreated(details=ModelDetails(title="Another"))),
    (VERSION, registry.VersionRegistered(stage="development", author="users/ada")),
    ("projects/other/models/fraud", registry.ModelCreated(details=ModelDetails(title="Elsewhere"))),
    (f"{ENDPOINT}/rollouts/1", deployment.RolloutRequested(version=VERSION)),
    (f"{ENDPOINT}/rollouts/1", deployment.RolloutPaused(cause="by hand")),
    (ENDPOINT, deployment.TrafficShifted(traffic=[TrafficShare(version=VERSION, percent=100)])),
    (ENDPOINT, deployment.EndpointAddressed(address="http://127.0.0.1:1")),
    (MONITOR, window(OUTCOME_OK)),
    (MONITOR, window(OUTCOME_FAILED)),
    (f"{MONITOR}/alerts/1", monitoring.AlertRaised(endpoint=ENDPOINT, version=VERSION, check="psi")),
    (f"{MONITOR}/alerts/1", monitoring.AlertAcknowledged(note="seen")),
    (MONITOR, window(OUTCOME_FAILED, f"{PROJECT}/models/fraudulent/versions/1")),
    (PROJECT, registry.RoleGranted(principal="users/ben", role="author", model=MODEL)),
    (MONITOR, monitoring.MonitorPaused()),
    (f"{PROJECT}/silences/s1", alerts.SilenceCreated(monitor=MONITOR)),
    (f"{PROJECT}/silences/s1", alerts.SilenceEnded()),
    (PROJECT, registry.PolicySet()),
    (f"{PROJECT}/silences/s2", alerts.SilenceCreated(monitor=f"{PROJECT}/monitors/us")),
)
ABOUT_THE_MODEL = [2, 4, 6, 7, 8, 11, 12, 13, 15, 16, 17, 18, 19]


def entries(story: Sequence[tuple[str, Message]] = STORY) -> list[Entry]:
    """The log as it is read."""
    generations: dict[str, int] = {}
    made = []
    for revision, (resource, event) in enumerate(story, 1):
        generations[resource] = generations.get(resource, 0) + 1
        fact = Fact(id=f"{revision:032x}", resource=resource, generation=generations[resource], reason="for a reason")
        fact.recorded_at.seconds = BEGIN + 60 * revision
        fact.actor.id = "users/ada"
        fact.event.Pack(event)
        made.append(Entry(revision, "", fact.SerializeToString(deterministic=True)))
    return made


ENTRIES = entries()
LOG = Log(one.payload for one in ENTRIES)
SELECTION = Selection([PROJECT], names=[MODEL], rules=RULES)


def content(**changed: Any) -> Content:
    chosen = SELECTION.of(ENTRIES)
    made = Content(
        kind="model",
        subject=MODEL,
        revision=len(ENTRIES),
        title="The life of risk/fraud",
        subtitle=MODEL,
        summary="All of it.",
        facts=[("Facts", str(len(chosen)))],
        chapters=[Chapter("Timeline", "In order.", sheets=[listed("timeline", "Every fact", chosen)])],
        selection=SELECTION,
        entries=chosen,
        states={"models": [Model(name=MODEL, details=ModelDetails(title="=fraud"))]},
    )
    return replace(made, **changed)


def evidence(size: int = len(ENTRIES)) -> Evidence:
    """Of all facts in the tree of this size."""
    note = LOG.note(size)
    proofs = {place: proof_text(place - 1, LOG.inclusion(place - 1, size), note) for place in range(1, size + 1)}
    head = TreeHead(size=size, root_hash=LOG.root(size))
    checkpoint = Checkpoint(origin=ORIGIN, head=head, note=note)
    return Evidence(checkpoint, proofs, [{"vkey": VKEY, "from_size": 1}])


def pack(folder: Path, **changed: Any) -> Path:
    write(folder, files_of(content(**changed), evidence(), SIGNING))
    return folder


def signed_again(folder: Path, manifest: Mapping[str, Any], key: Any = SIGNING) -> None:
    """Whoever holds the key changes what the manifest says of the files as they are now."""
    told = dict(manifest)
    names = [one for one in folder.rglob("*") if one.is_file() and not one.name.startswith("manifest.")]
    told["files"] = {
        one.relative_to(folder).as_posix(): {"sha256": hashlib.sha256(one.read_bytes()).hexdigest()} for one in names
    }
    raw = as_json(told)
    subject = [{"name": "manifest.json", "digest": {"sha256": hashlib.sha256(raw).hexdigest()}}]
    statement = {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": {}}
    (folder / "manifest.json").write_bytes(raw)
    (folder / "manifest.dsse").write_bytes(seal(json.dumps(statement).encode(), key))
