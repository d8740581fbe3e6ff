"""Signed statements: verified against the keys a project trusts, refused when they are about something else."""

import base64
import contextlib
import json
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import Refusal
from modelog.artifacts.folders import File, digest_of
from modelog.provenance.envelopes import BadEnvelope, opened
from modelog.provenance.keys import BadKey, key_of, public_key
from modelog.provenance.statements import SLSA, read, training
from modelog.registry.v1 import artifacts_events_pb2 as facts
from modelog.registry.v1 import artifacts_pb2 as artifacts
from modelog.registry.v1 import events_pb2 as lifes
from services.registry.domain import PROJECT
from services.registry.domain.gates import judge
from services.registry.domain.provenance import seen_of
from services.registry.domain.statements import add_trusted_key, key_in, record_provenance, revoke_trusted_key
from testkit.scenario import START, Life, life
from tests.registry.build import BEN, DIGEST, PROJECT_NAME, at, policy, project_created, registered, rule
from tests.registry.signing import EDWARDS, NIST, OTHER, model_signature, pem_of, public, signed, statement

VERIFIED, UNKNOWN = artifacts.PROVENANCE_OUTCOME_VERIFIED, artifacts.PROVENANCE_OUTCOME_UNKNOWN_KEY


def added(key: Any, description: str = "ci") -> facts.TrustedKeyAdded:
    one = public(key)
    return facts.TrustedKeyAdded(key_id=one.id, public_key=one.pem, algorithm=one.algorithm, description=description)


def trusting(*events: Any) -> Life:
    return life(PROJECT, PROJECT_NAME).given(project_created, *events)


def attempt(envelope: bytes, project: Life, version: Life | None = None) -> Any:
    return (version or registered()).when(partial(record_provenance, envelope=envelope), project.state)


@pytest.mark.parametrize("key", [EDWARDS, NIST], ids=["ed25519", "ecdsa"])
def test_a_statement_signed_by_a_trusted_key_is_recorded_as_verified(key: Any) -> None:
    project, version = trusting(added(key), added(OTHER)), registered()
    event = attempt(signed(DIGEST, key), project, version).event
    assert (event.provenance.number, event.provenance.outcome) == (1, VERIFIED)
    assert list(event.provenance.key_ids) == [public(key).id]
    assert (event.provenance.predicate_type, event.provenance.builder) == (SLSA, "https://ci.example.test/1")
    assert event.keys_revision == project.state.revision
    before = version.state.content_revision
    one = version.given(event, by=BEN).state.provenance[0]
    assert (one.recorded_by, one.record_time.ToDatetime().hour) == (BEN, START.hour + 2)
    assert version.state.content_revision == before
    attempt(event.envelope, project, version).then_nothing()


def test_what_nobody_trusted_signed_is_recorded_as_that() -> None:
    event = attempt(signed(DIGEST, OTHER), trusting(added(EDWARDS))).event
    assert (event.provenance.outcome, list(event.provenance.key_ids)) == (UNKNOWN, [])


def test_a_statement_about_another_artifact_is_refused() -> None:
    attempt(signed("cd" * 32), trusting(added(EDWARDS))).then_refused("SUBJECT_MISMATCH")


def test_a_changed_statement_in_the_name_of_a_trusted_key_is_refused() -> None:
    envelope = json.loads(signed(DIGEST))
    envelope["payload"] = base64.b64encode(statement(DIGEST, predicate={"better": True})).decode()
    attempt(json.dumps(envelope).encode(), trusting(added(EDWARDS))).then_refused("SIGNATURE_INVALID")
    envelope["signatures"][0]["keyid"] = ""
    event = attempt(json.dumps(envelope).encode(), trusting(added(EDWARDS))).event
    assert event.provenance.outcome == UNKNOWN


def test_a_revoked_key_signs_nothing_any_more_and_what_it_signed_counts_no_longer() -> None:
    project, version = trusting(added(EDWARDS)), registered()
    version.given(attempt(signed(DIGEST), project, version).event)
    assert seen_of(version.state, project.state.trusted_keys)["verified"] is True
    project.given(facts.TrustedKeyRevoked(key_id=public(EDWARDS).id), by=BEN)
    assert project.state.trusted_keys[public(EDWARDS).id].revoked_by == BEN
    assert seen_of(version.state, project.state.trusted_keys)["verified"] is False
    assert seen_of(version.state, project.state.trusted_keys)["keys"] == []
    attempt(signed(DIGEST, predicate={}), project).then_refused("KEY_REVOKED")


def test_a_gate_requires_provenance_and_believes_only_keys_of_now() -> None:
    gate = lifes.PolicySet(policy=policy(rule("testing", gates=("provenance.verified && size(provenance.keys) == 1",))))
    project, version = trusting(gate, added(EDWARDS)), registered()

    def failed() -> list[str]:
        return [one.name for one in judge(version.state, "testing", at(project.state)).failed()]

    assert failed() == ["g0"]
    version.given(attempt(signed(DIGEST, OTHER), project, version).event)
    assert failed() == ["g0"]
    version.given(attempt(signed(DIGEST), project, version).event)
    assert failed() == []
    project.given(facts.TrustedKeyRevoked(key_id=public(EDWARDS).id))
    assert failed() == ["g0"]


def test_a_model_signature_has_to_list_the_very_files() -> None:
    project = trusting(added(NIST))
    event = attempt(model_signature({".": DIGEST}), project).event
    assert event.provenance.kind == artifacts.PROVENANCE_KIND_MODEL_SIGNATURE
    assert list(event.provenance.key_ids) == [public(NIST).id]
    attempt(model_signature({".": "cd" * 32}), project).then_refused("SUBJECT_MISMATCH")
    attempt(model_signature({"a": DIGEST, "b": "cd" * 32}), project).then_refused("SUBJECT_MISMATCH")
    files = [File("a", DIGEST, 1), File("d/b", "cd" * 32, 2)]
    folder = registered()
    folder.state.artifact.sha256 = digest_of(files)
    folder.state.artifact.files.extend(artifacts.ArtifactFile(path=one.path, sha256=one.sha256) for one in files)
    assert (
        attempt(model_signature({"a": DIGEST, "d/b": "cd" * 32}), project, folder).event.provenance.outcome == VERIFIED
    )
    attempt(model_signature({"a": DIGEST}), project, folder).then_refused("SUBJECT_MISMATCH")
    folder.state.artifact.files.add(path="model.sig", sha256="ef" * 32)
    assert attempt(model_signature({"a": DIGEST, "d/b": "cd" * 32}), project, folder).event.provenance
    folder.state.artifact.files.add(path=".git/config", sha256="ef" * 32)
    attempt(model_signature({"a": DIGEST, "d/b": "cd" * 32}), project, folder).then_refused("SUBJECT_MISMATCH")


def test_keys_are_added_once_and_do_not_come_back() -> None:
    key = public(EDWARDS)
    wish = partial(add_trusted_key, key=key, description="ci")
    trusting().when(wish).then(added(EDWARDS))
    trusting(added(EDWARDS)).when(wish).then_nothing()
    gone = trusting(added(EDWARDS), facts.TrustedKeyRevoked(key_id=key.id))
    gone.when(wish).then_refused("KEY_REVOKED")
    revoke = partial(revoke_trusted_key, key_id=key.id)
    trusting(added(EDWARDS)).when(revoke).then(facts.TrustedKeyRevoked(key_id=key.id))
    gone.when(revoke).then_nothing()
    trusting().when(revoke).then_refused("KEY_NOT_TRUSTED")
    many = [facts.TrustedKeyAdded(key_id=f"{n:064x}") for n in range(64)]
    trusting(*many).when(wish).then_refused("TOO_MANY_KEYS")


def test_private_keys_and_other_algorithms_are_no_keys_to_trust() -> None:
    for pem in ("", "key", pem_of(EDWARDS).decode(), public(EDWARDS).pem[:-40], "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(Refusal):
            key_in(pem)
    large = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(BadKey):
        key_of(large)
    assert public_key(public(NIST).pem) == public(NIST)


def test_a_retired_version_and_one_with_many_statements_take_no_more() -> None:
    retired = registered(lifes.VersionRetired(to_stage="retired"))
    attempt(signed(DIGEST), trusting(), retired).then_refused("VERSION_RETIRED")
    full = registered(*(facts.ProvenanceRecorded(provenance=artifacts.Provenance(number=n + 1)) for n in range(16)))
    attempt(signed(DIGEST), trusting(), full).then_refused("TOO_MANY_STATEMENTS")


def test_training_is_told_as_slsa_provenance() -> None:
    version = registered(
        source={"repository": "https://git.example.test/r", "commit": "ab" * 20, "dirty": True},
        training_data=[{"uri": "s3://d/1", "sha256": "cd" * 32}, {"name": "other"}, {}],
        hyperparameters={"b": "2", "a": "1"},
    ).state
    told = training(version, builder="https://ci.example.test/7", now=START)
    assert read(told).is_about(DIGEST, ())
    predicate = json.loads(told)["predicate"]
    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "git+https://git.example.test/r", "digest": {"gitCommit": "ab" * 20}},
        {"uri": "s3://d/1", "digest": {"sha256": "cd" * 32}},
        {"uri": "other"},
    ]
    assert predicate["buildDefinition"]["internalParameters"] == {"dirtyTree": True}
    assert predicate["runDetails"] == {
        "builder": {"id": "https://ci.example.test/7"},
        "metadata": {"finishedOn": "2026-03-01T12:00:00Z"},
    }


WRONG = [
    b"", b"[]", b"{}", b"\xff", b"[" * 60_000, b'{"dsseEnvelope": 7}', b'{"payloadType": "text/plain"}',
    b'{"payloadType": "application/vnd.in-toto+json", "signatures": []}',
    b'{"payloadType": "application/vnd.in-toto+json", "signatures": [7], "payload": ""}',
    b'{"payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "***"}], "payload": ""}',
    b'{"payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": ""}], "payload": "e30="}',
    signed(DIGEST, _type="https://in-toto.io/Statement/v0.1"), signed(DIGEST, subject=[]), signed(DIGEST, subject="x"),
    signed(DIGEST, predicateType=""), signed(DIGEST, predicateType="https://model_signing/signature/v1.0"),
]  # fmt: skip


@pytest.mark.parametrize("envelope", WRONG, ids=range(len(WRONG)))
def test_what_is_no_signed_statement_is_refused(envelope: bytes) -> None:
    attempt(envelope, trusting(added(EDWARDS))).then_refused("INVALID_REQUEST")


_WORDS = "payload payloadType signatures sig keyid dsseEnvelope _type subject digest sha256".split()
_json: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(_json)
def test_no_json_makes_an_envelope_fail_otherwise_than_by_saying_so(value: Any) -> None:
    typed = {"payloadType": "application/vnd.in-toto+json", **(value if isinstance(value, dict) else {})}
    for one in (value, typed):
        with contextlib.suppress(BadEnvelope):
            read(opened(json.dumps(one).encode()).payload)


def test_who_signs_is_who_holds_the_key_and_not_who_says_so() -> None:
    envelope = json.loads(signed(DIGEST, OTHER))
    envelope["signatures"][0]["keyid"] = public(EDWARDS).id
    attempt(json.dumps(envelope).encode(), trusting(added(EDWARDS), added(OTHER))).then_refused("SIGNATURE_INVALID")
