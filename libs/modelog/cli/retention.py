"""How long records are kept: rules, what they come to, and what was erased by them."""

from modelog.cli.state import Noun
from modelog.cli.verbs import arg, opt, verb

retention = Noun(
    "retention",
    help="How long sealed records are kept. The first rule that a version meets decides; without one it stays.",
    commands=[
        verb("list", "retentions.ListRetentions", "The rules of a project.", arg("parent", "project")),
        verb("get", "retentions.GetRetention", "One rule.", arg("name", "retention")),
        verb(
            "set",
            "retentions.SetRetention",
            "Make a rule, or replace all that it says.",
            arg("parent", "project"),
            arg("retention_id"),
            opt("settings.days", "Keep for so many days after sealing."),
            opt("settings.for_ever", "Keep for ever."),
            opt("settings.filter", "Versions as they were at the end: phases:PRODUCTION AND tags.use = credit."),
            opt("settings.priority", "Lower ones are asked first; 0 when not given."),
            opt("settings.title", "What it is for: a law, a contract."),
        ),
        verb("remove", "retentions.RemoveRetention", "End a rule.", arg("name", "retention")),
        verb(
            "preview",
            "retentions.PreviewExpiry",
            "What would expire, by which rule, and what is held by which hold. Erases nothing.",
            arg("parent", "project"),
            opt("until_time", "What will have expired by then; now when not given.", flag="--until"),
            opt("include_kept", "Also what is kept beyond that.", flag="--all"),
        ),
        verb(
            "report",
            "retentions.ListRecordErasures",
            "What was erased, when and by which rule.",
            arg("parent", "project"),
            opt("from_time", "Erased then or later.", flag="--since"),
            opt("to_time", "Erased before.", flag="--until"),
        ),
    ],
)
