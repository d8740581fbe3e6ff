"""A version that came back from the end of its life: it starts anew, and nothing of its former approvals is left."""

from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from modelog.registry.v1.types_pb2 import PHASE_DEVELOPMENT, PHASE_PRODUCTION
from tests.deployment.build import version

retired = registry.VersionRetired(to_stage="retired")
restored = VersionRestored(from_stage="retired", to_stage="development", to_phase=PHASE_DEVELOPMENT)


def test_a_restored_version_has_to_be_approved_again() -> None:
    known = version(2, registry.VersionDeprecated(), retired, restored).state
    assert (known.retired, known.deprecated, known.stage) == (False, False, "development")
    assert (known.phase, known.approved_sha256, list(known.approvers)) == (PHASE_DEVELOPMENT, "", [])
    moved = registry.StageChanged(to_stage="production", to_phase=PHASE_PRODUCTION, approvers=["users/eve"])
    again = version(2, retired, restored, moved).state
    assert (again.retired, again.phase, list(again.approvers)) == (False, PHASE_PRODUCTION, ["users/eve"])
