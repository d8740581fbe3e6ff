"""The door of the archive: request, verb or query, reply. One file for each thing asked about."""

from services.archive.servicer.access import AccessRecords
from services.archive.servicer.bundles import Bundles
from services.archive.servicer.causes import Causes
from services.archive.servicer.erasures import ErasureServicer
from services.archive.servicer.evidence import Evidence
from services.archive.servicer.history import History
from services.archive.servicer.holds import Holds
from services.archive.servicer.moments import Moments
from services.archive.servicer.records import Records
from services.archive.servicer.retentions import RetentionServicer
from services.archive.servicer.stream import Stream
from services.archive.servicer.subscriptions import SubscriptionServicer

__all__ = ["ArchiveServicer", "ErasureServicer", "RetentionServicer", "SubscriptionServicer"]


class ArchiveServicer(Records, Holds, History, Stream, Evidence, Causes, Bundles, AccessRecords, Moments):
    """modelog.archive.v1.ArchiveService."""
