"""modelog for programs: typed stubs of the four services that retry, read their own writes and raise typed refusals.

    async with modelog.sdk.connect(actor="users/ada") as client:
        made = await client.registry.CreateProject(CreateProjectRequest(project_id="risk"))
        project = await client.registry.GetProject(GetProjectRequest(name=made.name))   # sees the write, always
        async for version in pages(client.registry.ListVersions, ListVersionsRequest(parent="projects/risk/models/-")):
            ...
        async for entry in client.subscribe(from_revision=1):
            ...
        async for registered in client.register_versions(requests):                     # many, over broken connections
            ...

`connect_sync` is the same without `async`. Nothing here needs a library of the servers.
"""

from modelog.sdk.artifacts import describe_artifact, download_artifact, git_source, upload_artifact
from modelog.sdk.client import Client, connect
from modelog.sdk.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    NotAllowedNow,
    NotConfigured,
    NotFound,
    Refused,
    TooLate,
    Unauthenticated,
    Unavailable,
    Violation,
)
from modelog.sdk.facts import Entry, event_of
from modelog.sdk.moments import Difference, changes_between, located, states
from modelog.sdk.paging import pages
from modelog.sdk.provenance import sign_provenance, verify_provenance
from modelog.sdk.registering import Registered
from modelog.sdk.state_bundle import write_state
from modelog.sdk.subscription import Hole, Subscription
from modelog.sdk.sync_client import SyncClient, connect_sync
from modelog.sdk.sync_subscription import SyncSubscription

__all__ = [
    "AlreadyExists",
    "Client",
    "Conflict",
    "Denied",
    "Difference",
    "Entry",
    "Exhausted",
    "Hole",
    "Invalid",
    "NotAllowedNow",
    "NotConfigured",
    "NotFound",
    "Refused",
    "Registered",
    "Subscription",
    "SyncClient",
    "SyncSubscription",
    "TooLate",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "changes_between",
    "connect",
    "connect_sync",
    "describe_artifact",
    "download_artifact",
    "event_of",
    "git_source",
    "located",
    "pages",
    "sign_provenance",
    "states",
    "upload_artifact",
    "verify_provenance",
    "write_state",
]
