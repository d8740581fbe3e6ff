"""Terms of environments as people type them, and as files declare them; checks, approvals, lifted freezes."""

from modelog.cli.failures import CONFLICT, USAGE
from tests.cli.line import CommandLine
from tests.deployment import models

FREEZE = "weekends=fri 17:00..mon 08:00 Europe/Berlin; nobody is here"


def test_terms_are_typed_shown_exported_and_applied_again(line: CommandLine, project: str) -> None:
    line("environments", "define", project, "staging", "--admit", "testing")
    given = ["--promotes-from", f"{project}/staging", "--served-for", "1d", "--quota", "replicas=20"]
    more = ["--rollout-approvals", "1", "--secret", "STORE_KEY=file:feature-store"]
    line("environments", "define", project, "production", "--freeze", FREEZE, *given, *more)
    told = line("environments", "get", f"{project}/production").out
    for word in ("fri 17:00 to mon 08:00 Europe/Berlin (nobody is here)", "20 replicas", "feature-store", "86400 s"):
        assert word in told
    exported = line("export", project).out
    again = line.folder / "again.yaml"
    again.write_text(exported)
    assert "0 to change" in line("diff", "-f", again).out
    again.write_text(exported.replace("mostReplicas: 20", "mostReplicas: 30"))
    assert "mostReplicas" in again.read_text()
    assert "quota.most_replicas: 20 -> 30" in line("diff", "-f", again, expect=USAGE).out


def test_what_cannot_be_a_term_is_told(line: CommandLine, project: str) -> None:
    define = ["environments", "define", project, "lab"]
    assert "write ID=" in line(*define, "--freeze", "x=soon", expect=USAGE).err
    assert "write NAME=" in line(*define, "--secret", "KEY=hunter2", expect=USAGE).err
    assert "one of endpoints" in line(*define, "--quota", "pods=3", expect=USAGE).err
    assert "--promotes-from" in line(*define, "--served-for", "1d", expect=USAGE).err


def test_a_version_is_checked_and_a_rollout_rejected(line: CommandLine, project: str) -> None:
    model = line.folder / "classifier.onnx"
    model.write_bytes(models.classifier())
    line("versions", "register", f"{project}/fraud", model)
    line("stages", "change", f"{project}/fraud/1", "testing")
    freeze = "audit=2000-01-01..2100-01-01; the auditors are here"
    line("environments", "define", project, "lab", "--admit", "testing", "--rollout-approvals", "1", "--freeze", freeze)
    line("endpoints", "create", project, "eu", f"{project}/lab")
    told = line("environments", "check", f"{project}/lab", f"{project}/fraud/1", expect=CONFLICT).out
    assert "the auditors are here" in told
    line("environments", "lift-freeze", f"{project}/lab", "--for", "30m", "--reason", "an outage")
    assert "waits for 1 approvals" in line("environments", "check", f"{project}/lab", f"{project}/fraud/1").out
    line("rollouts", "start", f"{project}/eu", f"{project}/fraud/1", "--recreate")
    assert "asked for" in line("rollouts", "approve", f"{project}/eu/1", expect=CONFLICT).err
    line("rollouts", "reject", f"{project}/eu/1", "--reason", "not today")
    assert "rejected by" in line("rollouts", "get", f"{project}/eu/1").out
