"""Which kinds of facts bear on which point of Article 12(2) of the EU AI Act (Regulation (EU) 2024/1689). Pure.

The points, in short: (a) identifying situations in which the system may present a risk (Article 79(1)), or a
substantial modification; (b) facilitating post-market monitoring (Article 72); (c) monitoring the operation of the
system by its deployer (Article 26(5)). A kind may bear on several. The assignment is a reading aid: whether a record
is relevant, and whether what is recorded is enough, is for the provider and the deployer to judge.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelog.packs.saying import kind_of
from modelog.sdk.facts import Entry


class Point(NamedTuple):
    """A point of the article: how it is cited, what it is about in a few words, and in which file its facts are."""

    cited: str
    about: str
    name: str


RISK = Point("Article 12(2)(a)", "situations of risk, and what may be a modification", "risk-and-modification")
MARKET = Point("Article 12(2)(b)", "post-market monitoring, Article 72", "post-market-monitoring")
OPERATION = Point("Article 12(2)(c)", "monitoring of operation, Article 26(5)", "operation")
BESIDE = Point("beside Article 12(2)", "governance, access and keeping", "beside")
POINTS = (RISK, MARKET, OPERATION, BESIDE)

_RISK = (
    "FindingRaised FindingReopened FindingAccepted FindingResolved FindingConfirmed AlertRaised AlertReopened"
    " AlertEscalated AlertJoined WindowFailed StepInconclusive RolloutFailed RollbackStarted RolledBack RollbackFailed"
    " EndpointFlagged EndpointUnflagged RetirementProposed RetirementAccepted RetirementDeclined"
    # What may be a modification.
    " ModelCreated ModelDescribed ModelRetired VersionRegistered VersionDescribed StageChanged VersionDeprecated"
    " VersionRetired VersionRestored TrafficShifted RolloutPromoted RolloutSucceeded EndpointPolicyChanged PolicySet"
    " LifecycleSet EnvironmentDefined EnvironmentChanged RetrainingAnswered AliasAssigned AliasRemoved AliasesSwapped"
    " AliasRolledBack"
)
_MARKET = (
    "MonitorCreated MonitorChanged MonitorPaused MonitorResumed BaselineCaptured WindowEvaluated VersionReplaced"
    " AlertRaised AlertReopened AlertJoined AlertEscalated AlertAcknowledged AlertResolved EvaluationRecorded"
    " RetrainingRequested RetrainingClaimed RetrainingStarted RetrainingAnswered RetrainingAbandoned"
    " RetrainingReleased RetrainingDeadlineMissed RetirementProposed RetirementAccepted RetirementDeclined"
    " ShadowCompared RolloutShadowed"
)
_OPERATION = (
    "EndpointCreated EndpointAddressed EndpointRepaired EndpointRemovalStarted EndpointRemoved EnvironmentRemoved"
    " TrafficShifted RolloutRequested RolloutStarted RolloutApproved RolloutRejected RolloutExpired RolloutHeld"
    " ReplicaObserved StepStarted StepPassed StepInconclusive WindowFailed RolloutPaused RolloutResumed RolloutPromoted"
    " RolloutSucceeded RolloutFailed RollbackStarted RolledBack RollbackFailed FreezeLifted AlertAcknowledged"
    " AlertSilenced AlertUnsilenced AlertResolved SilenceCreated SilenceEnded"
)
_BESIDE = (
    "ProjectCreated ProjectDescribed RoleGranted RoleProposed RoleProposalWithdrawn RoleRevoked RoleDefined RoleRemoved"
    " ServiceAccountRegistered ServiceAccountRemoved EmergencyDeclared EmergencyReviewed TagSet TagRemoved"
    " TransitionRequested ReviewSubmitted TransitionDecided ChecklistAnswered ReviewDelegated DelegationEnded"
    " ProvenanceRecorded TrustedKeyAdded TrustedKeyRevoked VersionArchived ThreadOpened CommentPosted CommentEdited"
    " CommentWithdrawn ThreadResolved ThreadReopened TeamDefined TeamRemoved WatchSet WatchRemoved WebhookCreated"
    " WebhookChanged WebhookPaused WebhookResumed WebhookDisabled WebhookRemoved WebhookSecretRotated"
    " RedeliveryRequested ArchivingStarted RecordSealed ArchivingFailed RecordRestored RecordExpired HoldPlaced"
    " HoldReleased RecordErased RecordExpiryWithdrawn RecordRestoreRequested RecordRestoreApproved RecordRestoreFailed"
    " RetentionSet RetentionRemoved ErasureRequested TextsErased SubscriptionCreated"
    " SubscriptionChanged SubscriptionPaused SubscriptionResumed SubscriptionRewound"
    " SubscriptionRemoved"
)
KINDS: Mapping[Point, frozenset[str]] = {
    RISK: frozenset(_RISK.split()),
    MARKET: frozenset(_MARKET.split()),
    OPERATION: frozenset(_OPERATION.split()),
    BESIDE: frozenset(_BESIDE.split()),
}


def sorted_out(entries: Sequence[Entry]) -> dict[Point, list[Entry]]:
    """The facts that bear on each point. What is of no kind known here stands beside, so that nothing is left out."""
    known = frozenset().union(*KINDS.values())
    return {
        point: [
            entry
            for entry in entries
            if kind_of(entry) in KINDS[point] or (point is BESIDE and kind_of(entry) not in known)
        ]
        for point in POINTS
    }
