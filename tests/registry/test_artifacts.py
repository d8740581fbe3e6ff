"""What a policy says of artifacts and code, and what a copy takes along."""

from functools import partial
from typing import Any

import pytest

from kernel.errors import Refusal
from modelog.artifacts.folders import File, digest_of
from modelog.registry.v1 import artifacts_pb2 as artifacts
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import VERSION
from services.registry.domain.access import NOWHERE
from services.registry.domain.artifacts import DIRTY, check_artifact, check_globals, marks_of
from services.registry.domain.version import copy_version, register_version
from testkit.scenario import Life, life
from tests.registry.build import ADA, BEN, CAT, DIGEST, VERSION_NAME, artifact, model, project, registered

COPY = "projects/risk/models/fraud/versions/2"
PICKLES = types.Policy(allowed_formats=["pickle", "torch", "onnx"])


def under(policy: types.Policy) -> types.Project:
    state = project()
    state.policy.CopyFrom(policy)
    return state


def pickled(*named: tuple[str, str], verdict: Any = artifacts.SCAN_VERDICT_CLEAN, **more: Any) -> types.Artifact:
    """A pickle whose scan found these globals."""
    scan = artifacts.PickleScan(sha256=DIGEST, verdict=verdict)
    for module, name in named:
        scan.globals.add(module=module, name=name, rating=artifacts.GLOBAL_RATING_LISTED)
    fields: dict[str, Any] = {"uri": "u", "sha256": DIGEST, "size_bytes": 1, "format": "pickle", "scan": scan}
    return types.Artifact(**fields | more)


def refusal(one: types.Artifact, policy: types.Policy | None = None) -> str:
    try:
        check_artifact(one, policy or types.Policy())
    except Refusal as error:
        return error.reason
    return ""


def test_without_a_policy_everything_but_pickles_is_registered() -> None:
    for name in ("onnx", "safetensors", "tree", "Anything"):
        assert refusal(types.Artifact(sha256=DIGEST, format=name)) == ""
    for name in ("pickle", "PKL", "joblib", "torch", "pt", "npy-object"):
        assert refusal(pickled(format=name)) == "PICKLE_NEEDS_POLICY"
        assert refusal(types.Artifact(sha256=DIGEST, format="zip", contained_formats=[name])) == "PICKLE_NEEDS_POLICY"


def test_a_policy_names_the_formats_that_it_allows() -> None:
    policy = types.Policy(allowed_formats=["onnx"])
    assert refusal(artifact(), policy) == ""
    assert refusal(types.Artifact(format="safetensors"), policy) == "FORMAT_NOT_ALLOWED"
    assert refusal(types.Artifact(format="onnx", contained_formats=["json"]), policy) == "FORMAT_NOT_ALLOWED"


def test_a_pickle_needs_to_be_named_and_a_clean_scan() -> None:
    assert refusal(pickled(("numpy", "ndarray")), PICKLES) == ""
    assert refusal(pickled(format="joblib"), PICKLES) == "PICKLE_NEEDS_POLICY"
    assert refusal(types.Artifact(sha256=DIGEST, format="pickle"), PICKLES) == "PICKLE_NOT_SCANNED"
    for verdict in (artifacts.SCAN_VERDICT_DANGEROUS, artifacts.SCAN_VERDICT_INCOMPLETE):
        assert refusal(pickled(verdict=verdict), PICKLES) == "PICKLE_NOT_SAFE"


def test_what_a_friendly_scanner_calls_clean_is_judged_again() -> None:
    assert refusal(pickled(("posix", "system")), PICKLES) == "PICKLE_NOT_SAFE"
    assert refusal(pickled(("risk.models", "Tree")), PICKLES) == "PICKLE_NOT_SAFE"


def test_a_project_lists_its_own_globals_but_nothing_that_runs_code() -> None:
    own = types.Policy(allowed_formats=["pickle"], allowed_globals=["risk.models.*", "risk.base.Model"])
    assert refusal(pickled(("risk.models", "Tree"), ("risk.base", "Model")), own) == ""
    assert refusal(pickled(("risk.models.deep", "Tree")), own) == "PICKLE_NOT_SAFE"
    assert refusal(pickled(("risk.base", "Other")), own) == "PICKLE_NOT_SAFE"
    check_globals(own.allowed_globals)
    for pattern in ("os.system", "builtins.*", "builtins.eval", "*", "a", "*.b", "torch.hub.load", "a.b c"):
        with pytest.raises(Refusal):
            check_globals([pattern])


def test_a_folder_has_the_digest_of_its_list_and_is_what_its_files_are() -> None:
    files = [File("a/model.safetensors", DIGEST, 7, "safetensors"), File("b.json", "cd" * 32, 5, "json")]
    whole = types.Artifact(sha256=digest_of(files), size_bytes=12, format="folder")
    whole.files.extend(artifacts.ArtifactFile(**one._asdict()) for one in files)
    assert refusal(whole, types.Policy(allowed_formats=["safetensors", "json"])) == ""
    assert refusal(whole, types.Policy(allowed_formats=["safetensors"])) == "FORMAT_NOT_ALLOWED"
    for field, value in (("size_bytes", 13), ("sha256", DIGEST)):
        other = types.Artifact.FromString(whole.SerializeToString())
        setattr(other, field, value)
        assert refusal(other) == "INVALID_REQUEST"
    for path in ("/a", "a/../b", "a//b", "", "c:\\x", "a\nb", ".", " a"):
        other = types.Artifact.FromString(whole.SerializeToString())
        other.files[0].path = path
        assert refusal(other) == "INVALID_REQUEST", path
    twice = types.Artifact.FromString(whole.SerializeToString())
    twice.files[1].path = twice.files[0].path
    assert refusal(twice) == "INVALID_REQUEST"


def test_a_dirty_tree_is_allowed_marked_or_refused() -> None:
    dirty = types.GitSource(commit="a" * 40, dirty=True)
    assert marks_of(dirty, types.Policy()) == []
    assert marks_of(dirty, types.Policy(dirty_tree=artifacts.DIRTY_TREE_MARK)) == [DIRTY]
    assert marks_of(types.GitSource(), types.Policy(dirty_tree=artifacts.DIRTY_TREE_MARK)) == []
    with pytest.raises(Refusal, match="DIRTY_TREE"):
        marks_of(dirty, types.Policy(dirty_tree=artifacts.DIRTY_TREE_REFUSE))
    with pytest.raises(Refusal, match="COMMIT_REQUIRED"):
        marks_of(types.GitSource(dirty=True), types.Policy(require_commit=True))


def test_registering_asks_the_policy_and_records_the_marks() -> None:
    given = facts.VersionRegistered(artifact=artifact(), source=types.GitSource(commit="a" * 40, dirty=True))
    new = life(VERSION, VERSION_NAME)
    marking = under(types.Policy(dirty_tree=artifacts.DIRTY_TREE_MARK))
    wish = partial(register_version, given=given, actors=[ADA])
    outcome = new.when(wish, model(), marking, NOWHERE)
    assert outcome.event is not None, outcome.refusal
    assert list(new.given(outcome.event).state.marks) == [DIRTY]
    strict = under(types.Policy(allowed_formats=["safetensors"]))
    life(VERSION, VERSION_NAME).when(wish, model(), strict, NOWHERE).then_refused("FORMAT_NOT_ALLOWED")


def copied(source: types.Version, *, by: str, policy: types.Policy | None = None) -> Any:
    new = life(VERSION, COPY, actor=by)
    wish = partial(copy_version, named=VERSION_NAME, actors=[by])
    return new, new.when(wish, model(), under(policy or types.Policy()), NOWHERE, source)


def test_a_copy_has_the_artifact_its_origin_and_the_same_makers_and_nothing_that_others_decided() -> None:
    source: Life = registered(
        facts.TagSet(key="k", value="v"), source={"commit": "ab12345"}, owners=[CAT], framework="f"
    )
    new, outcome = copied(source.state, by=BEN)
    copy = new.given(outcome.event).state
    assert (copy.artifact, copy.framework, copy.source.commit) == (source.state.artifact, "f", "ab12345")
    assert (copy.copied_from.version, copy.copied_from.revision) == (VERSION_NAME, source.state.revision)
    assert (copy.author, list(copy.makers)) == (ADA, [ADA, BEN, CAT])
    assert (dict(copy.tags), copy.stage, copy.parent_version) == ({}, "development", "")


def test_a_copy_meets_the_policy_of_where_it_comes_to() -> None:
    _, outcome = copied(registered().state, by=BEN, policy=types.Policy(allowed_formats=["safetensors"]))
    outcome.then_refused("FORMAT_NOT_ALLOWED")


def test_what_is_not_there_or_retired_is_not_copied() -> None:
    copied(types.Version(), by=BEN)[1].then_refused("VERSION_NOT_FOUND")
    retired = registered(facts.VersionRetired(from_stage="development", to_stage="retired"))
    copied(retired.state, by=BEN)[1].then_refused("VERSION_RETIRED")
