"""Erasing free text of people, and what was erased."""

from modelog.cli.state import Noun
from modelog.cli.verbs import arg, opt, verb

erasures = Noun(
    "erasures",
    help="Free text of people, erased from beside the log; the facts and every proof of them stay.",
    commands=[
        verb(
            "list",
            "erasures.ListErasures",
            "What was erased in a project, and by which right.",
            arg("parent", "project"),
        ),
        verb("get", "erasures.GetErasure", "What became of one erasure.", arg("name", "erasure")),
        verb(
            "request",
            "erasures.EraseTexts",
            "Erase for good what somebody wrote, or what was written about something; held facts keep theirs.",
            arg("parent", "project"),
            arg("erasure_id"),
            opt("scope.author", "All that this principal wrote; in the project `all`, anywhere.", flag="--author"),
            opt("scope.resource", "All about this resource and what is below it, by its full name.", flag="--resource"),
            opt("scope.facts.revisions", "What the fact of this revision holds; repeatable.", flag="--fact"),
            opt("authority", "By which right or order, such as the number of the request."),
        ),
    ],
)
