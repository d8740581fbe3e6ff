"""How the outcome of one condition is written down, whatever kind of condition it is."""

from collections.abc import Mapping

from modelog.registry.v1.types_pb2 import GATE_RESULT_FAILED, GATE_RESULT_PASSED, GateKind, GateOutcome


def outcome(name: str, kind: GateKind, condition: str, reason: str, evidence: Mapping[str, str]) -> GateOutcome:
    """Passed where there is no reason to the contrary."""
    result = GATE_RESULT_FAILED if reason else GATE_RESULT_PASSED
    return GateOutcome(name=name, kind=kind, result=result, condition=condition, reason=reason, evidence=evidence)
