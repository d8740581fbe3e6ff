"""Files into documents: what is understood, what is wrong and where, and what a hostile file can do."""

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.declare import Problems, read_files, read_text
from modelog.declare.exporting import dump, plain
from modelog.declare.kinds import KINDS, Kind, fields_of, fixed_of, full_name, resource_of
from modelog.declare.reading import Reader
from modelog.declare.scalars import text_of, value_of
from modelog.deployment.v1.types_pb2 import Strategy
from modelog.monitoring.v1 import types_pb2 as monitoring
from modelog.registry.v1 import types_pb2 as types
from services.monitoring.domain.rules import complete_rules
from tests.declare.arbitrary import messages

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "modelog.yaml"
MODEL = "kind: Model\nname: risk/fraud\n"


def wrong(text: str) -> list[tuple[int, str]]:
    """Line and sentence of each problem."""
    with pytest.raises(Problems) as caught:
        read_text(text, "f.yaml")
    return [(one.line, one.text) for one in caught.value.problems]


def test_the_example_says_what_it_looks_like() -> None:
    project, model, environment, endpoint, monitor = read_files([EXAMPLE])
    assert (project.name, project.said.policy.rules[0].required_reviews[0].role) == ("projects/risk", "validator")
    assert model.said.details.description.endswith("is stopped.\n")
    assert list(environment.said.admitted_phases) == [types.PHASE_PRODUCTION]
    assert endpoint.said.environment == "projects/risk/environments/production"
    assert monitor.said.checks[0].method == monitoring.METHOD_PSI
    assert monitor.problem(("checks", 0, "threshold"), "x").line == monitor.lines["checks", 0, "threshold"]
    assert monitor.problem(("nowhere",), "x").line == monitor.line


def test_what_may_be_said_follows_from_the_protos() -> None:
    said = {kind.word: list(fields_of(kind)) for kind in KINDS}
    assert said["Environment"][:2] == ["description", "driver"]
    assert {"title", "description", "lifecycle", "policy", "role_definitions"} <= set(said["Project"])
    assert not {"roles", "service_accounts", "emergencies"} & set(said["Project"])
    assert "aliases" not in said["Model"]
    fixed = {kind.word: fixed_of(kind) for kind in KINDS}
    assert {"environment", "replicas"} <= fixed["Endpoint"]
    assert "endpoint" in fixed["Monitor"]
    assert not {"title", "policy", "details", "tags", "protected", "checks"} & frozenset().union(*fixed.values())


def test_keys_may_be_written_as_in_json_or_as_in_the_proto() -> None:
    text = "kind: Environment\nname: risk/p\nadmittedPhases: [PHASE_STAGING, production]\napprovals_needed: 2\n"
    (one,) = read_text(text, "f.yaml")
    assert (list(one.said.admitted_phases), one.said.approvals_needed) == ([3, 4], 2)


def test_a_text_is_what_stands_there() -> None:
    """YAML 1.1 takes `no` for false, 1.10 for a number and 2026-01-01 for a date; a text field does not."""
    (one,) = read_text(MODEL + "tags: {a: no, b: 1.10, c: 2026-01-01, d: 0x1F, e: on}\n", "f.yaml")
    assert dict(one.said.tags) == {"a": "no", "b": "1.10", "c": "2026-01-01", "d": "0x1F", "e": "on"}


def test_names_are_full_or_short() -> None:
    for name in ("projects/risk/models/fraud", "risk/fraud"):
        assert full_name(name, "projects/*/models/*") == "projects/risk/models/fraud"
    for name in ("risk", "risk/fraud/1", "projects/risk/monitors/fraud", "risk/", ""):
        with pytest.raises(ValueError, match="is no name"):
            full_name(name, "projects/*/models/*")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (MODEL + "details:\n  titel: x\n", 4, "unknown key 'titel'; did you mean 'title'?"),
        (MODEL + "aliases: {}\n", 3, "unknown key 'aliases'"),
        (MODEL + "details:\n  title:\n", 4, 'write "" to clear it'),
        (MODEL + "details: text\n", 3, "is written as keys with values"),
        (MODEL + "details:\n  owners: users/ada\n", 4, "owners is a list"),
        (MODEL + "details:\n  title: [a]\n", 4, "title is one value"),
        (MODEL + "details:\n  title: a\n  task: b\n  title: c\n", 6, "'title' is there twice, first in line 4"),
        (MODEL + "tags: {a: b}\ntags: {c: d}\n", 4, "'tags' is there twice"),
        (MODEL + "details: {<<: {title: x}}\n", 3, "unknown key '<<'"),
        (MODEL + "? [a]\n: b\n", 3, "a key is one word"),
        ("- kind: Model\n", 1, "a document is written as keys with values"),
        ("name: risk/fraud\n", 1, "say the kind"),
        ("kind: Model\n", 1, "say the name"),
        ("kind: Modell\nname: x/y\n", 1, "did you mean 'Model'?"),
        ("kind: Model\nname: x\n", 2, "is no name"),
        ("kind: Environment\nname: a/b\nprotected: yes\n", 3, "neither true nor false"),
        ("kind: Environment\nname: a/b\napprovalsNeeded: 1.5\n", 3, "no whole number"),
        ("kind: Environment\nname: a/b\nadmittedPhases: [prodction]\n", 3, "did you mean 'production'?"),
        ("kind: Monitor\nname: a/b\nchecks:\n  - id: x\n    threshold: .nan\n", 5, "no number"),
        ("kind: Monitor\nname: a/b\nendpoint: c\n", 3, "endpoint: 'c' is no name"),
        ("kind: Model\nname: [\n", 3, "no YAML"),
        ("kind: Model\nname: \"\\x\n", 2, "no YAML"),
        ("kind: !!python/object/apply:os.system [x]\nname: a/b\n", 1, "say the kind"),
        ("kind: Model\x00\n", 0, "no YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, told: str) -> None:
    (where, sentence), *_ = wrong(text)
    assert (where, told in sentence) == (line, True), (where, sentence)


def test_all_that_is_wrong_is_told_at_once_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MODEL + "titel: x\n---\nkind: Nothing\nname: x\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.yml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c.yaml").write_text(MODEL)
    (tmp_path / "d.yaml").write_text(MODEL)
    (tmp_path / "ignored.txt").write_text("[")
    with pytest.raises(Problems) as caught:
        read_files([tmp_path, tmp_path / "missing.yaml"])
    told = [f"{Path(one.file).name}:{one.line}" for one in caught.value.problems]
    assert told == ["a.yaml:3", "a.yaml:5", "b.yml:0", "missing.yaml:0", "d.yaml:1"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Problems, match=r"no \.yaml file"):
        read_files([empty])


def test_only_one_of_a_choice_can_be_said() -> None:
    reader, into = Reader("f.yaml"), Strategy()
    reader.message(into, yaml.compose("recreate: {}\ncanary: {}\n", Loader=yaml.SafeLoader), (), {})
    assert ["cannot both be said" in one.text for one in reader.problems] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([MODEL + "x0: &a0 [x]"] + [f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]),
        "kind: Monitor\nname: a/b\nchecks: &c\n  - columns: &d [" + "x, " * 9000 + "x]\n" + "  - columns: *d\n" * 40,
        MODEL + "details: &d\n  links: [*d]\n",
        "kind: Monitor\nname: a/b\nchecks: &c [{id: x}, *c]\n",
        MODEL + "details: " + "[" * 20_000 + "]" * 20_000,
        MODEL + "details: " + "{a: " * 5000 + "}" * 5000,
        "&a [*a]",
        MODEL * 3,
    ],
    ids=["bomb", "large", "ends-in-itself", "list-in-itself", "deep-list", "deep-map", "loop", "twice"],
)
def test_a_hostile_file_is_refused_and_soon(text: str) -> None:
    started = time.perf_counter()
    assert wrong(text)
    assert time.perf_counter() - started < 20


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(Problems, match="split it"):
        read_files([large])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172_800), ("1.5h", 5400)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    field: Any = Strategy.DESCRIPTOR.fields_by_name["ready_deadline"]
    found = value_of(field, text)
    assert found == Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
    assert value_of(field, text_of(field, found)) == found
    with pytest.raises(ValueError, match="length of time"):
        value_of(field, "soon")


def test_times() -> None:
    field: Any = types.Property.DESCRIPTOR.fields_by_name["time"]
    for text in ("2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", "2026-05-01 12:00:00"):
        assert value_of(field, text) == Timestamp(seconds=1_777_636_800)
    with pytest.raises(ValueError, match="no time"):
        value_of(field, "tomorrow")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_what_is_exported_is_read_again_as_it_was(kind: Kind, data: st.DataObject) -> None:
    resource = data.draw(messages(resource_of(kind).DESCRIPTOR, tuple(fields_of(kind))))
    resource.name = full_name("risk/fraud" if kind.pattern.count("*") == 2 else "risk", kind.pattern)
    for name in {"endpoint", "environment"} & set(fields_of(kind)):
        setattr(resource, name, f"projects/risk/{name}s/eu")
    (read,) = read_text(dump([plain(kind, resource)]), "f.yaml")
    said = type(resource)()
    said.CopyFrom(read.said)
    said.name = resource.name
    assert said == resource


def test_the_rules_of_the_guide_can_be_declared_and_answered() -> None:
    guide = EXAMPLE.parents[1] / "guides" / "alerts.md"
    lines = guide.read_text().split("\n    kind: Monitor\n")[1].split("\n\n")[0]
    (monitor,) = read_text("kind: Monitor\n" + textwrap.dedent(lines), "alerts.md")
    checks = [monitoring.Check(id=one) for one in ("drift", "accuracy")]
    drifting, worse = complete_rules(monitor.said.rules, checks)
    assert (drifting.for_windows, drifting.reopen_within_seconds) == (3, 86400)
    assert drifting.escalate_to == "groups/ml-platform"
    assert list(drifting.actions) == [monitoring.ACTION_RETRAIN]
    assert (list(worse.checks), worse.clear_windows) == (["accuracy"], 1)
