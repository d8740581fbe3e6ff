"""PENDING -> PROGRESSING <-> PAUSED -> PROMOTING -> SUCCEEDED; or back, ROLLING_BACK -> ROLLED_BACK; or FAILED."""

from modelog.deployment.v1.types_pb2 import (
    ROLLOUT_STATE_FAILED,
    ROLLOUT_STATE_PAUSED,
    ROLLOUT_STATE_PENDING,
    ROLLOUT_STATE_PROGRESSING,
    ROLLOUT_STATE_PROMOTING,
    ROLLOUT_STATE_ROLLBACK_FAILED,
    ROLLOUT_STATE_ROLLED_BACK,
    ROLLOUT_STATE_ROLLING_BACK,
    ROLLOUT_STATE_SUCCEEDED,
    RolloutState,
)

PENDING, PROGRESSING, PAUSED = ROLLOUT_STATE_PENDING, ROLLOUT_STATE_PROGRESSING, ROLLOUT_STATE_PAUSED
PROMOTING, SUCCEEDED, FAILED = ROLLOUT_STATE_PROMOTING, ROLLOUT_STATE_SUCCEEDED, ROLLOUT_STATE_FAILED
ROLLING_BACK, ROLLED_BACK = ROLLOUT_STATE_ROLLING_BACK, ROLLOUT_STATE_ROLLED_BACK
ROLLBACK_FAILED = ROLLOUT_STATE_ROLLBACK_FAILED

# The version is on its way in; going back is still possible.
GOING_IN = (PENDING, PROGRESSING, PAUSED, PROMOTING)
GOING_BACK = (ROLLING_BACK, ROLLBACK_FAILED)


def is_unfinished(state: int) -> bool:
    """Whether a rollout in this state still acts on its endpoint. A finished one stays finished."""
    return state in GOING_IN or state in GOING_BACK


def _name(state: int) -> str:
    name: str = RolloutState.Name(state)
    return name


def words(state: int) -> str:
    """`rolling back`, for messages."""
    return _name(state).removeprefix("ROLLOUT_STATE_").lower().replace("_", " ")
