"""The roles and what each may do: data. Pure.

A permission is what a method declares as `required_permission`. `-` means not at all; a permission that no role has and
that is not in ANYBODY can be used by nobody, and a test holds this table against the descriptors of all services.
"""

from collections.abc import Mapping

VIEWER, AUTHOR, VALIDATOR, APPROVER = "viewer", "author", "validator", "approver"
DEPLOYER, OPERATOR, ARCHIVIST, AUDITOR, ADMIN = "deployer", "operator", "archivist", "auditor", "admin"
IMPORTER, SUBSCRIBER = "importer", "subscriber"

# Needed besides the permission of a method: to say that something happened elsewhere, and before it was recorded.
BESIDES = frozenset(["registry.history.import"])

# Whoever has proved who they are. What these answer is filtered to what the caller may see, or secret to nobody.
ANYBODY = frozenset(
    "status.read registry.projects.list registry.access.check archive.checkpoints.get archive.checkpoints.list"
    " archive.notary.get archive.moments.locate registry.search".split()
)

_READ = frozenset(
    "registry.projects.get registry.models.get registry.models.list registry.versions.get registry.versions.list"
    " registry.versions.compare registry.transitions.check registry.verdicts.replay registry.aliases.list"
    " registry.provenance.list registry.cards.get"
    " deployment.environments.get deployment.environments.list deployment.endpoints.get deployment.endpoints.list"
    " deployment.manifests.get"
    " deployment.rollouts.get deployment.rollouts.list deployment.rollouts.check deployment.intervals.list"
    " deployment.repairs.list"
    " monitoring.monitors.get monitoring.monitors.list monitoring.monitors.simulate"
    " monitoring.windows.get monitoring.windows.list"
    " monitoring.windows.reevaluate monitoring.windows.explain monitoring.batches.list"
    " monitoring.alerts.get monitoring.alerts.list monitoring.silences.get monitoring.silences.list"
    " monitoring.retrainings.get monitoring.retrainings.list monitoring.retirements.get monitoring.retirements.list"
    " archive.records.get archive.records.list archive.holds.get archive.holds.list"
    " archive.subscriptions.get archive.subscriptions.list archive.erasures.get archive.erasures.list"
    " archive.retentions.get archive.retentions.list archive.retentions.preview"
    # What everybody sees, and what concerns nobody but themselves.
    " registry.threads.get registry.threads.list registry.threads.mark_read registry.watches.set"
    " registry.watches.remove registry.watches.list registry.tasks.list registry.activity.list".split()
)
# Everybody who takes part in the work talks about it. Who only looks does not, nor does the auditor: what one judges
# one has not talked into being. Comments are changed by their authors alone, whatever the role.
_TALK = frozenset(
    "registry.threads.open registry.threads.resolve registry.threads.reopen registry.comments.post"
    " registry.comments.edit registry.comments.withdraw".split()
)
# Looking after what is sent outside. Addresses may hold secrets, so nobody else sees them.
_TEND_WEBHOOKS = frozenset(
    "registry.webhooks.get registry.webhooks.list registry.webhooks.list_deliveries registry.webhooks.pause"
    " registry.webhooks.resume registry.webhooks.redeliver registry.webhooks.test".split()
)
_HISTORY = frozenset(
    "archive.history.get archive.facts.read archive.proofs.get archive.bundles.export archive.records.verify"
    " archive.records.fetch"
    # Every resource at any moment, of kinds that each role sees only some of.
    " state.resources.list state.changes.list".split()
)


def _and(words: str) -> frozenset[str]:
    """What a role of those who take part may do: read, talk, and its own words."""
    return _READ | _TALK | frozenset(words.split())


ROLES: Mapping[str, frozenset[str]] = {
    VIEWER: _READ,
    # Makes models: what is made by others is not theirs to evaluate or to move (see OWN).
    AUTHOR: _and(
        "registry.models.create registry.models.update registry.tags.set registry.tags.remove"
        " registry.versions.register registry.versions.update registry.evaluations.record"
        " registry.transitions.request registry.transitions.withdraw registry.versions.change_stage"
        " registry.aliases.assign registry.aliases.remove registry.aliases.swap registry.aliases.rollback"
        " registry.versions.deprecate registry.findings.resolve registry.checklists.answer registry.provenance.record"
        " monitoring.retrainings.start monitoring.baselines.capture deployment.rollouts.request"
    ),
    # Brings over what was kept elsewhere, with the times at which it happened there: for the days of a move.
    IMPORTER: _and(
        "registry.history.import registry.models.create registry.models.update registry.versions.register"
        " registry.versions.update registry.evaluations.record registry.tags.set registry.tags.remove"
        " registry.aliases.assign registry.aliases.remove"
    ),
    # Looks at what others made: evaluates, reviews, sets what is watched.
    VALIDATOR: _and(
        "registry.evaluations.record registry.reviews.submit registry.reviews.delegate registry.versions.compare"
        " registry.findings.raise registry.findings.resolve registry.findings.confirm registry.findings.accept"
        " registry.findings.reopen registry.checklists.answer"
        " monitoring.monitors.create monitoring.monitors.update monitoring.baselines.capture"
        " monitoring.alerts.acknowledge monitoring.alerts.escalate monitoring.alerts.resolve"
        " monitoring.retrainings.request"
    ),
    # Answers for what goes into production.
    APPROVER: _and(
        "registry.reviews.submit registry.reviews.delegate registry.versions.change_stage registry.aliases.assign"
        " registry.aliases.swap registry.aliases.rollback registry.findings.raise registry.findings.resolve"
        " registry.findings.confirm registry.findings.accept registry.findings.reopen registry.checklists.answer"
        " deployment.rollouts.approve monitoring.retirements.accept monitoring.retirements.decline"
    ),
    # Puts versions where they serve.
    DEPLOYER: _and(
        "deployment.endpoints.create deployment.endpoints.update deployment.endpoints.remove"
        " deployment.rollouts.request deployment.rollouts.pause"
        " deployment.rollouts.resume deployment.rollouts.rollback deployment.logs.read monitoring.monitors.create"
        " monitoring.baselines.capture monitoring.outcomes.record monitoring.telemetry.ingest"
        " monitoring.batches.retry registry.emergencies.declare"
    ),
    # Keeps what serves serving.
    OPERATOR: _and(
        "deployment.endpoints.update deployment.rollouts.request deployment.rollouts.pause"
        " deployment.rollouts.resume deployment.rollouts.rollback"
        " deployment.logs.read registry.aliases.rollback"
        " monitoring.monitors.create monitoring.monitors.update monitoring.monitors.pause monitoring.monitors.resume"
        " monitoring.baselines.capture monitoring.outcomes.record monitoring.telemetry.ingest monitoring.batches.retry"
        " monitoring.alerts.acknowledge"
        " monitoring.alerts.silence monitoring.alerts.escalate monitoring.alerts.resolve"
        " monitoring.silences.create monitoring.silences.end monitoring.retrainings.request"
        " monitoring.retrainings.start monitoring.retrainings.abandon registry.emergencies.declare"
        " deployment.freezes.lift"
    )
    | _TEND_WEBHOOKS,
    # Ends lives, and keeps what is left of them.
    ARCHIVIST: _and(
        "registry.versions.deprecate registry.versions.retire registry.versions.restore registry.models.retire"
        " monitoring.retirements.accept monitoring.retirements.decline"
        " archive.records.verify"
        " archive.records.retry archive.holds.place archive.holds.release archive.history.get"
        " archive.texts.erase archive.records.fetch archive.records.restore"
        " archive.retentions.set archive.retentions.remove"
    ),
    # Reads everything that ever happened, who was refused and who may do what; changes nothing.
    AUDITOR: _READ
    | _HISTORY
    | frozenset(
        "archive.access.list archive.evidence.scrub registry.access.review registry.webhooks.get registry.webhooks.list"
        " registry.webhooks.list_deliveries status.views.compare".split()
    ),
    # Follows what happens, for a system that goes on with it; changes nothing but where it stands itself.
    SUBSCRIBER: _READ
    | frozenset(
        "archive.history.get archive.facts.read archive.subscriptions.create archive.subscriptions.update"
        " archive.subscriptions.pause archive.subscriptions.resume archive.subscriptions.rewind"
        " archive.subscriptions.remove archive.subscriptions.consume".split()
    ),
    # Says who may do what and by which rules, and makes no models.
    ADMIN: _and(
        "registry.projects.create registry.projects.update registry.projects.set_lifecycle"
        " registry.projects.set_policy registry.roles.grant"
        " archive.notary.rotate archive.evidence.scrub status.views.compare"
        " registry.roles.revoke registry.roles.define registry.roles.remove registry.emergencies.declare"
        " registry.emergencies.review registry.service_accounts.register registry.service_accounts.remove"
        " registry.access.review registry.trusted_keys.add registry.trusted_keys.revoke"
        " deployment.environments.define deployment.environments.remove deployment.freezes.lift"
        " registry.teams.define registry.teams.remove registry.webhooks.create registry.webhooks.update"
        " registry.webhooks.remove registry.webhooks.rotate"
        " archive.subscriptions.pause archive.subscriptions.resume archive.subscriptions.remove"
    )
    | _TEND_WEBHOOKS,
}

# Held only on what the principal made itself: (role, permission).
OWN: frozenset[tuple[str, str]] = frozenset(
    (AUTHOR, permission)
    for permission in (
        "registry.versions.update",
        "registry.evaluations.record",
        "registry.transitions.request",
        "registry.transitions.withdraw",
        "registry.versions.change_stage",
        "registry.versions.deprecate",
        "registry.findings.resolve",
        "registry.checklists.answer",
        "registry.provenance.record",
        "deployment.rollouts.request",
    )
) | frozenset((IMPORTER, permission) for permission in ("registry.versions.update", "registry.evaluations.record"))

# Held only where nothing protected is changed: into a protected environment a deployer brings versions.
UNPROTECTED: frozenset[tuple[str, str]] = frozenset({(OPERATOR, "deployment.rollouts.request")})

# Whoever holds one of these can bring something into production, or let somebody: two administrators grant them.
# So do they for whoever may say that something happened before it was recorded.
PRODUCTION_ROLES = frozenset({APPROVER, DEPLOYER, ADMIN, IMPORTER})
# So can whoever holds one of these permissions by a role of the project's own.
PRODUCTION_PERMISSIONS = frozenset(
    "registry.reviews.submit registry.reviews.delegate registry.findings.confirm registry.findings.accept"
    " registry.versions.change_stage registry.projects.set_policy"
    " registry.projects.set_lifecycle registry.roles.grant registry.roles.define registry.service_accounts.register"
    " registry.trusted_keys.add registry.history.import deployment.rollouts.request"
    " deployment.environments.define deployment.rollouts.approve".split()
)
# Nobody takes these in an emergency: what cannot wait is kept serving or taken back, and never approved in haste.
NOT_IN_EMERGENCIES = frozenset({VALIDATOR, APPROVER, AUDITOR, ADMIN, IMPORTER})
PERMISSIONS = frozenset().union(*ROLES.values()) | ANYBODY
# Who may do what is said by administrators alone: else a role of a project's own could make further administrators.
ADMINISTERING = frozenset(
    "registry.projects.create registry.roles.grant registry.roles.revoke registry.roles.define registry.roles.remove"
    " registry.service_accounts.register registry.service_accounts.remove registry.emergencies.review".split()
)
# What a role of a project's own may consist of.
DEFINABLE = PERMISSIONS - ADMINISTERING - ANYBODY
# What comes only with a role that nobody takes in an emergency.
_ELSEWHERE = frozenset().union(*(ROLES[role] for role in ROLES.keys() - NOT_IN_EMERGENCIES))
NEVER_IN_EMERGENCIES = frozenset().union(*(ROLES[role] for role in NOT_IN_EMERGENCIES)) - _ELSEWHERE
# What a caller must be allowed on something it only names: to read it.
READING: Mapping[str, str] = {
    "projects": "registry.projects.get",
    "models": "registry.models.get",
    "versions": "registry.versions.get",
    "threads": "registry.threads.get",
    "webhooks": "registry.webhooks.get",
    "environments": "deployment.environments.get",
    "endpoints": "deployment.endpoints.get",
    "rollouts": "deployment.rollouts.get",
    "monitors": "monitoring.monitors.get",
    "alerts": "monitoring.alerts.get",
    "silences": "monitoring.silences.get",
    "retrainings": "monitoring.retrainings.get",
    "retirements": "monitoring.retirements.get",
    "records": "archive.records.get",
    "holds": "archive.holds.get",
    "retentions": "archive.retentions.get",
    "subscriptions": "archive.subscriptions.get",
    "erasures": "archive.erasures.get",
}
