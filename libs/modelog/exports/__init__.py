"""The log and the views as files that other tools read: Parquet and JSON Lines, with a manifest to verify them by.

A folder is one export. It grows by what is new each time it is exported to, and `verify_export` checks it offline.
Parquet needs pyarrow (`modelog[parquet]`), and so does zstd.
"""

from modelog.exports.facts import Exported, export_facts
from modelog.exports.folder import BadExport, WrongLog
from modelog.exports.forms import FORMS
from modelog.exports.manifest import Manifest
from modelog.exports.verify import verify_export
from modelog.exports.views import export_views

__all__ = ["FORMS", "BadExport", "Exported", "Manifest", "WrongLog", "export_facts", "export_views", "verify_export"]
