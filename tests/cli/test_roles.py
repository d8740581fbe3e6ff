"""Who may do what, on the command line: granting by twos, own roles, accounts, emergencies, asking and reviewing."""

from modelog.cli.failures import CONFLICT, DENIED, FAILED, NOT_FOUND, USAGE
from tests.cli.line import CommandLine

ADA, BEN, CAT = "users/ada", "users/ben", "users/cat"


def test_a_role_that_leads_into_production_takes_two(line: CommandLine, project: str) -> None:
    wish = ["roles", "grant", project, CAT, "deployer"]
    first = line("--as", ADA, *wish)
    assert "a second administrator" in first.err
    assert "proposed" in first.out
    assert "to be confirmed" in line("roles", "list", project).out
    assert "SELF_GRANT" in line("--as", CAT, *wish, expect=DENIED).err
    assert line.json("--as", BEN, *wish)["state"] == "GRANT_STATE_GRANTED"
    assert f"{ADA} and {BEN}" in line("roles", "list", project).out
    (binding,) = [one for one in line.json("roles", "list", project)["roles"] if one["principal"] == CAT]
    assert (binding["grantedBy"], binding["confirmedBy"]) == (ADA, BEN)
    line("roles", "revoke", project, CAT, "deployer")
    line("roles", "revoke", project, CAT, "deployer", expect=NOT_FOUND)


def test_a_role_is_limited_to_a_model_and_to_a_time(line: CommandLine, project: str) -> None:
    line("roles", "grant", project, CAT, "author", "--model", f"{project}/fraud", "--until", "2100-01-01")
    row = next(row for row in line("roles", "list", project).rows() if row[0] == CAT)
    assert row[1:3] == ["author", f"{project}/fraud"]
    assert "2100-01-01" in row
    assert f"{CAT} author for {project}/fraud until 2100-01-01" in line("projects", "list").out


def test_roles_of_ones_own(line: CommandLine, project: str) -> None:
    line("roles", "define", project, "curator", "--permission", "registry.tags.set", "--description", "labels")
    line("roles", "grant", project, CAT, "curator")
    assert ["curator", "registry.tags.set"] in line("roles", "list", project).rows()
    assert "ROLE_IN_USE" in line("roles", "remove", project, "curator", expect=CONFLICT).err
    line("roles", "revoke", project, CAT, "curator")
    line("roles", "remove", project, "curator")
    assert (
        "definition.permissions[0]"
        in line("roles", "define", project, "king", "--permission", "registry.roles.grant", expect=USAGE).err
    )


def test_accounts_have_owners(line: CommandLine, project: str) -> None:
    line("accounts", "register", project, "serviceaccounts/ci", "--owner", BEN, "--description", "builds")
    assert line("accounts", "list", project).rows()[1][:3] == ["serviceaccounts/ci", BEN, "builds"]
    assert line.json("accounts", "list", project)["serviceaccounts/ci"]["owner"] == BEN
    line("accounts", "remove", project, "serviceaccounts/ci")
    assert line("accounts", "list", project).rows()[1][-1] == "removed"


def test_an_emergency_is_declared_and_reviewed(line: CommandLine, project: str) -> None:
    take = ["emergencies", "declare", project, "operator", "--for", "30m"]
    assert "reason" in line("--as", CAT, *take, expect=USAGE).err
    done = line.json("--as", CAT, *take, "--reason", "it burns")
    assert done["emergency"] == "1"
    assert line("can", CAT, "monitoring.monitors.pause", project, "--why").status == 0
    review = ["emergencies", "review", project, "1"]
    assert "--justified or --unjustified" in line("--as", BEN, *review, expect=USAGE).err
    assert "SEPARATION_OF_DUTIES" in line("--as", CAT, *review, "--justified", expect=DENIED).err
    line("--as", BEN, *review, "--justified", "--comment", "it did")
    assert "it burns" in line("emergencies", "list", project).out
    (one,) = line.json("emergencies", "list", project)
    assert (one["reviewedBy"], one["justified"], one["comment"]) == (BEN, True, "it did")


def test_whether_somebody_may_do_something_is_the_exit_status(line: CommandLine, project: str) -> None:
    ask = ["can", CAT, "registry.reviews.submit"]
    assert line(*ask, f"{project}/fraud/3", expect=FAILED).rows()[1][:2] == ["no", "NOT_GRANTED"]
    granted = line.json("roles", "grant", project, CAT, "validator", "--model", f"{project}/fraud")
    assert line(*ask, f"{project}/fraud/3").rows()[1][:2] == ["yes", "GRANTED"]
    line(*ask, f"{project}/other/3", expect=FAILED)
    line(*ask, project, expect=FAILED)
    line(*ask, expect=FAILED)
    line("can", CAT, "registry.projects.list")
    told = line(*ask, f"projects/{project}/models/fraud", "--why").out
    assert f"{CAT} holds validator" in told
    assert f"{CAT} validator for {project}/fraud in projects/{project} since" in told
    assert f"as of revision {granted['revision']}" in told
    line("--at", int(granted["revision"]) - 1, *ask, f"{project}/fraud/3", expect=FAILED)
    assert line.json(*ask, f"{project}/fraud/3")["binding"]["role"] == "validator"
    assert "no permission" in line("can", CAT, "everything", project, expect=USAGE).err


def test_access_is_reviewed(line: CommandLine, project: str) -> None:
    line("roles", "grant", project, CAT, "author")
    line("--as", ADA, "roles", "grant", project, BEN, "approver")
    report = line("access", "review", project)
    assert CAT in report.out
    assert f"proposed: approver for {BEN}, by {ADA}" in report.out
    assert "ADMINISTRATORS_MISSING" in report.out
    assert f"projects/{project} of revision" in report.err
    principals = [one["principal"] for one in line.json("access", "review", project)["principals"]]
    assert CAT in principals
