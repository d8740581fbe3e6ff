"""Projects, models, environments, endpoints and monitors as files kept in git.

    documents = read_files([Path("modelog.yaml")])
    plan = make_plan(documents, caller(client))
    print(plan.changed)                            # what would change, field by field
    apply_plan(plan, caller(client), reason="apply modelog.yaml at 3f2a1c9")

What a document says is so afterwards; what it does not say is left as it is; nothing is ever removed.
"""

from modelog.declare.applying import Changed, Written, apply_plan
from modelog.declare.documents import Document, read_files, read_text
from modelog.declare.exporting import export_project
from modelog.declare.planning import Plan, Planned, caller, make_plan, unmanaged
from modelog.declare.problems import Problem, Problems

__all__ = [
    "Changed",
    "Document",
    "Plan",
    "Planned",
    "Problem",
    "Problems",
    "Written",
    "apply_plan",
    "caller",
    "export_project",
    "make_plan",
    "read_files",
    "read_text",
    "unmanaged",
]
