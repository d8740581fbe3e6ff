"""Planning and applying against a registry that a test holds in its hands: order, etags, conflicts, refusals."""

from typing import Any

import grpc
import pytest

from modelog.declare import Changed, Problems, apply_plan, make_plan, read_text
from modelog.registry.v1 import types_pb2 as types
from modelog.sdk.errors import AlreadyExists, Conflict, Denied, Invalid, NotAllowedNow, NotFound, Refused, Violation

HEAD = "kind: Project\nname: risk\n"
LIFECYCLE = "lifecycle: {stages: [{id: a, phase: testing}]}\n"
POLICY = "policy: {rules: [{toStage: a}]}\n"
_CODES: dict[type[Refused], grpc.StatusCode] = {cls: code for code, cls in Refused.of_code.items()}


def refusal(kind: type[Refused], reason: str, *violations: Violation) -> Refused:
    return kind(_CODES[kind], reason, reason.lower(), violations)


class Registry:
    """One project. `refuse` says no to a method the next time it is called for good, `refuse_dry` when it is asked."""

    def __init__(self, project: types.Project | None = None) -> None:
        self.project = project or types.Project()
        self.called: list[tuple[str, str]] = []
        self.refuse: dict[str, Refused] = {}
        self.refuse_dry: dict[str, Refused] = {}
        self.reasons: set[str] = set()

    def __call__(self, method: str, request: Any) -> Any:
        name = method.partition(".")[2]
        if name == "GetProject":
            if not self.project.name:
                raise refusal(NotFound, "PROJECT_NOT_FOUND")
            copy = types.Project()
            copy.CopyFrom(self.project)
            return copy
        if request.validate_only:
            if name in self.refuse_dry:
                raise self.refuse_dry[name]
            return types.Project(revision=0)
        if name in self.refuse:
            raise self.refuse.pop(name)
        if getattr(request, "etag", "") not in ("", str(self.project.generation)):
            raise refusal(Conflict, "ETAG_MISMATCH")
        self.called.append((name, getattr(request, "etag", "")))
        self.reasons.add(request.reason)
        return self._write(name, request)

    def _write(self, name: str, request: Any) -> types.Project:
        before = self.project.SerializeToString(deterministic=True)
        match name:
            case "CreateProject":
                self.project.name, self.project.title = f"projects/{request.project_id}", request.title
            case "UpdateProject":
                for path in request.update_mask.paths:
                    setattr(self.project, path, getattr(request, path))
            case "DefineRole":
                self.project.role_definitions[request.role].CopyFrom(request.definition)
            case "SetLifecycle":
                self.project.lifecycle.CopyFrom(request.lifecycle)
            case "SetPolicy":
                self.project.policy.CopyFrom(request.policy)
        if self.project.SerializeToString(deterministic=True) != before:
            self.project.generation += 1
            self.project.revision += 10
        return types.Project(name=self.project.name, revision=self.project.revision)


def project(**fields: Any) -> types.Project:
    return types.Project(name="projects/risk", generation=3, revision=30, **fields)


def test_each_step_expects_the_generation_that_the_one_before_led_to() -> None:
    registry = Registry(project())
    plan = make_plan(read_text(HEAD + "title: T\n" + LIFECYCLE + POLICY, "f"), registry)
    written = apply_plan(plan, registry, reason="why")
    assert registry.called == [("UpdateProject", "3"), ("SetLifecycle", "4"), ("SetPolicy", "5")]
    assert [(one.name, one.revision) for one in written] == [("projects/risk", 40 + 10 * n) for n in range(3)]
    assert registry.reasons == {"why"}
    again = make_plan(read_text(HEAD + "title: T\n" + LIFECYCLE + POLICY, "f"), registry)
    assert (again.changed, apply_plan(again, registry, reason="why")) == ([], [])


def test_what_turns_out_to_be_so_already_is_no_fact_and_moves_no_generation() -> None:
    """A project comes with a lifecycle: setting that very one records nothing."""
    registry = Registry()
    plan = make_plan(read_text(HEAD + LIFECYCLE + POLICY, "f"), registry)
    registry.project.lifecycle.stages.add(id="a", phase=types.PHASE_TESTING)
    written = apply_plan(plan, registry, reason="")
    assert [one.method.partition(".")[2] for one in written] == ["CreateProject", "SetPolicy"]
    assert registry.called[-1] == ("SetPolicy", "1")


def test_a_change_in_between_stops_the_apply_and_planning_again_goes_on() -> None:
    registry = Registry(project())
    documents = read_text(HEAD + "title: T\n" + POLICY, "f")
    plan = make_plan(documents, registry)
    registry.project.generation += 1
    with pytest.raises(Changed) as caught:
        apply_plan(plan, registry, reason="")
    assert (caught.value.name, caught.value.written, registry.called) == ("projects/risk", [], [])
    plan = make_plan(documents, registry)
    registry.refuse["SetPolicy"] = refusal(Conflict, "ETAG_MISMATCH")
    with pytest.raises(Changed) as caught:
        apply_plan(plan, registry, reason="")
    assert [one.method for one in caught.value.written] == ["registry.UpdateProject"]
    assert [one.method for one in apply_plan(make_plan(documents, registry), registry, reason="")] == [
        "registry.SetPolicy"
    ]


def test_somebody_else_may_create_it_first() -> None:
    registry = Registry()
    # Also between its being looked for and the question whether it could be created.
    registry.refuse_dry["CreateProject"] = refusal(AlreadyExists, "PROJECT_EXISTS")
    plan = make_plan(read_text(HEAD, "f"), registry)
    registry.refuse["CreateProject"] = refusal(AlreadyExists, "PROJECT_EXISTS")
    with pytest.raises(Changed):
        apply_plan(plan, registry, reason="")
    registry.refuse["CreateProject"] = refusal(AlreadyExists, "REQUEST_ID_REUSED")
    with pytest.raises(AlreadyExists):
        apply_plan(plan, registry, reason="")


def test_a_lifecycle_that_the_old_policy_does_not_fit_waits_for_the_new_one() -> None:
    registry = Registry(project())
    plan = make_plan(read_text(HEAD + LIFECYCLE + POLICY, "f"), registry)
    registry.refuse["SetLifecycle"] = refusal(NotAllowedNow, "POLICY_NAMES_STAGE")
    apply_plan(plan, registry, reason="")
    assert registry.called == [("SetPolicy", "3"), ("SetLifecycle", "4")]


def test_what_would_be_refused_is_told_with_the_line_that_says_it() -> None:
    registry = Registry(project())
    wrong = Violation("policy.rules[0].to_stage", "is no stage")
    registry.refuse_dry["SetPolicy"] = refusal(Invalid, "INVALID_REQUEST", wrong)
    with pytest.raises(Problems) as caught:
        make_plan(read_text(HEAD + "policy:\n  rules:\n    - fromStage: b\n      toStage: a\n", "f"), registry)
    assert [str(one) for one in caught.value.problems] == ["f:6: policy.rules[0].to_stage: is no stage"]
    registry.refuse_dry = {"DefineRole": refusal(Invalid, "X", Violation("definition.permissions[1]", "is none"))}
    with pytest.raises(Problems) as caught:
        make_plan(read_text(HEAD + "roleDefinitions:\n  a:\n    permissions:\n      - x\n      - y\n", "f"), registry)
    assert [one.line for one in caught.value.problems] == [7]
    registry.refuse_dry = {"SetLifecycle": refusal(NotAllowedNow, "POLICY_NAMES_STAGE")}
    with pytest.raises(Problems, match="f:3: policy_names_stage"):
        make_plan(read_text(HEAD + LIFECYCLE, "f"), registry)
    assert not registry.called


def test_a_lifecycle_and_a_policy_that_change_together_are_not_judged_by_what_is_there() -> None:
    registry = Registry(project())
    registry.refuse_dry = {name: refusal(NotAllowedNow, "X") for name in ("SetPolicy", "SetLifecycle")}
    assert make_plan(read_text(HEAD + LIFECYCLE + POLICY, "f"), registry).count("update") == 1


def test_who_may_only_read_gets_a_plan_that_says_so() -> None:
    registry = Registry(project())
    registry.refuse_dry["UpdateProject"] = refusal(Denied, "NOT_GRANTED")
    (planned,) = make_plan(read_text(HEAD + "title: T\n", "f"), registry).changed
    assert planned.notes == ["not checked, for you may not write it: not_granted"]
    assert [change.path for change in planned.changes] == ["title"]


def test_what_a_service_refuses_only_when_it_is_written_has_its_line_too() -> None:
    registry = Registry()
    plan = make_plan(read_text(HEAD + "\n" + POLICY, "f"), registry)
    registry.refuse["SetPolicy"] = refusal(Invalid, "X", Violation("policy.rules[0].to_stage", "is no stage"))
    with pytest.raises(Problems, match="f:4: "):
        apply_plan(plan, registry, reason="")
    assert registry.called == [("CreateProject", "")]
