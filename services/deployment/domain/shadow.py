"""What a shadow has to show: the comparison of a mirrored version's answers with those that callers got."""

from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    AnalysisResult,
    Shadow,
)


def disagreement(comparison: ShadowComparison) -> float:
    """Different rows / compared rows, 0..1; 0 when none were compared."""
    return comparison.different / comparison.compared if comparison.compared else 0.0


def disagrees_already(shadow: Shadow, comparison: ShadowComparison) -> bool:
    """Whether the window need not be waited for: enough rows were compared and too many differ."""
    if not shadow.HasField("max_disagreement") or comparison.compared < max(shadow.min_compared, 1):
        return False
    return disagreement(comparison) > shadow.max_disagreement


def judge_answers(shadow: Shadow, comparison: ShadowComparison, result: AnalysisResult) -> AnalysisResult:
    """`result`, which says what the mirrored requests themselves have shown, with what their answers add to it.

    A broken limit fails; too little to compare leaves it open; a failure of the requests stays one.
    """
    if not shadow.HasField("max_disagreement") or result.verdict != VERDICT_PASSED:
        return result
    judged = AnalysisResult()
    judged.CopyFrom(result)
    share, least = disagreement(comparison), max(shadow.min_compared, 1)
    if not comparison.compared:
        judged.verdict, judged.finding = VERDICT_NO_DATA, "no answers could be compared"
    elif comparison.compared < least:
        judged.verdict = VERDICT_INCONCLUSIVE
        judged.finding = f"{comparison.compared} compared answers are fewer than {least}"
    elif share > shadow.max_disagreement:
        judged.verdict = VERDICT_FAILED
        judged.finding = (
            f"{comparison.different} of {comparison.compared} answers differ ({share:.4g}), "
            f"more than {shadow.max_disagreement:.4g}; the greatest difference is {comparison.max_difference:.4g}"
        )
    else:
        judged.finding = f"{result.finding}; {comparison.compared} answers compared, {comparison.different} differ"
    return judged
