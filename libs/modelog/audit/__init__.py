"""Checks exported evidence offline, with nothing but the log's public key: the standard library and cryptography.

Nothing here is shared with the service that made the evidence, so a mistake there is not repeated here.
"""

from modelog.audit.keys import Keys, WitnessKey
from modelog.audit.note import BadNote, Key, open_checkpoint
from modelog.audit.proof import verify_fact
from modelog.audit.report import Finding, Report
from modelog.audit.verify import verify

__all__ = ["BadNote", "Finding", "Key", "Keys", "Report", "WitnessKey", "open_checkpoint", "verify", "verify_fact"]
