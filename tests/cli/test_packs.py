"""Evidence packs of a life on a real suite: what stands in them, that they are the same bytes, and checked."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelog.cli.failures import DENIED, NOT_FOUND, UNVERIFIED, USAGE
from tests.cli.line import CommandLine
from tests.deployment import models

WORDS = "threshold is shaky for small merchants"


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def table(folder: Path, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((folder / "data" / f"{name}.json").read_text())
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.fixture
def keys(line: CommandLine) -> tuple[str, ...]:
    """How a pack is verified; the key to sign with lies beside."""
    if not (line.folder / "signer").exists():
        line("keys", "make", "signer")
    line.file("log.vkey", line("audit", "key").out)
    return ("--key", f"@{line.folder / 'log.vkey'}", "--signer", str(line.folder / "signer.pub"))


@pytest.fixture
def out(line: CommandLine, keys: tuple[str, ...], tmp_path: Path) -> Any:
    """Makes a pack and returns its folder and what was told of it."""

    def make(name: str, *arguments: object) -> tuple[Path, Any]:
        folder = tmp_path / name
        told = line.json("audit", "pack", *arguments, "--sign-with", line.folder / "signer", "--out", folder)
        return folder, told

    return make


@pytest.fixture
def wanting(line: CommandLine, project: str) -> str:
    """A project whose one version was found wanting, in words of users/rui."""
    model = line.folder / f"{project}.onnx"
    model.write_bytes(models.classifier())
    line("--as", "users/ada", "versions", "register", f"{project}/fraud", model)
    finding = ("--severity", "high", "--kind", "performance", "--title", "Shaky", "--text", WORDS)
    line("--as", "users/rui", "findings", "raise", f"{project}/fraud/1", *finding)
    return project


@pytest.fixture
def life(line: CommandLine, request: pytest.FixtureRequest) -> str:
    """A project in which version 1 served and gave way to version 2, and a role was taken; lived once, read by all."""
    if not _LIVED:
        _LIVED.append(_live(line, request.getfixturevalue("wanting")))
    return _LIVED[0]


_LIVED: list[str] = []


def _live(line: CommandLine, project: str) -> str:
    line("--as", "users/ada", "versions", "register", f"{project}/fraud", line.folder / f"{project}.onnx")
    line("environments", "define", project, "lab", "--admit", "testing", "--setting", "threads=1")
    line("endpoints", "create", project, "eu", f"{project}/lab")
    for version in (f"{project}/fraud/1", f"{project}/fraud/2"):
        line("versions", "tag", version, "risk_class", "high")
        line("stages", "change", version, "testing")
        line("rollouts", "start", f"{project}/eu", version, "--recreate", "--ready", "60s", "--watch")
    line("--as", "users/mina", "roles", "grant", project, "users/ben", "auditor")
    line("--as", "users/ben", "roles", "grant", project, "users/ben", "author", expect=DENIED)
    line("--as", "users/otto", "emergencies", "declare", project, "deployer", "--for", "10m", "--reason", "outage")
    line("retention", "set", project, "credit", "--days", "3650")
    for name, where in (("case-1", "models/fraud"), ("case-2", "models/another")):
        line("holds", "place", project, name, f"projects/{project}/{where}", "--title", "Case", "--authority", "court")
    line("--as", "users/eve", "history", f"projects/{project}/models/fraud")
    return project


def test_an_inventory_tells_what_there_was_at_a_moment(
    line: CommandLine, life: str, out: Any, keys: tuple[str, ...]
) -> None:
    folder, told = out("now", "inventory", life)
    first, second = table(folder, "versions")
    assert [first["version"], first["stage"], first["phase"]] == [f"projects/{life}/models/fraud/versions/1"] + [
        "testing"
    ] * 2
    assert (first["owners"], first["risk class"], first["author"]) == ("users/ada", "high", "users/ada")
    assert (first["open findings"], first["serving"]) == ("1", "")
    assert second["serving"] == f"100 % of {life}/eu"
    assert [one["title"] for one in table(folder, "open-findings")] == ["Shaky"]
    verified = line.json("audit", "pack", "verify", folder, *keys)
    assert (verified["ok"], verified["proofs"]) == (True, told["facts"])
    shift = next(one for one in line.json("history", f"projects/{life}/endpoints/eu", "--type", "TrafficShifted"))
    then, told_then = out("then", "inventory", life, "--at", shift["revision"])
    assert told_then["revision"] == int(shift["revision"])
    assert [one["serving"] for one in table(then, "versions")] == [f"100 % of {life}/eu", ""]
    by_time, told_by_time = out("by-time", "inventory", life, "--at", shift["fact"]["recordedAt"])
    assert told_by_time["revision"] == told_then["revision"]
    assert files(by_time) == files(then)


def test_a_life_tells_everything_about_a_model_and_leaves_nothing_out(
    line: CommandLine, life: str, out: Any, keys: tuple[str, ...]
) -> None:
    folder, told = out("life", "model", f"{life}/fraud")
    timeline = table(folder, "timeline")
    kinds = [one["fact"] for one in timeline]
    assert kinds[0] == "ModelCreated"
    assert {"VersionRegistered", "StageChanged", "FindingRaised", "RolloutSucceeded", "TrafficShifted"} <= set(kinds)
    assert "EmergencyDeclared" not in kinds
    assert WORDS in next(one["what"] for one in timeline if one["fact"] == "FindingRaised")
    assert [one["version"] for one in table(folder, "serving") if one["percent"] == "100"] == [
        f"{life}/fraud/1",
        f"{life}/fraud/2",
    ]
    assert [one["card"] for one in table(folder, "versions")] == ["cards/1.html", "cards/2.html"]
    assert "fraud" in (folder / "cards" / "2.html").read_text()
    assert "Share of the traffic" in (folder / "index.html").read_text()
    assert WORDS not in (folder / "facts.jsonl").read_text()  # Only the marker is proved.
    line("audit", "checkpoint", "--covering", told["revision"], "--wait")
    line("audit", "export", "log.tar")
    done = line.json("audit", "pack", "verify", folder, *keys, "--bundle", line.folder / "log.tar")
    assert (done["ok"], done["notes"]) == (True, [])


def test_the_same_moment_makes_the_same_bytes_whatever_happens_after(
    line: CommandLine, life: str, out: Any, keys: tuple[str, ...]
) -> None:
    time.sleep(0.01)
    moment = now()
    asked = {
        "inventory": ("inventory", life, "--at", moment),
        "model": ("model", f"{life}/fraud", "--at", moment),
        "system": ("ai-act", f"projects/{life}/endpoints/eu", "--to", moment),
        "access": ("access", life, "--to", moment),
    }
    before = {name: files(out(name, *arguments)[0]) for name, arguments in asked.items()}
    line("models", "tag", f"{life}/fraud", "team", "risk")
    line("--as", "users/eve", "history", f"projects/{life}")
    for name, arguments in asked.items():
        assert files(out(f"{name}-again", *arguments)[0]) == before[name], name


def test_the_log_of_a_system_says_which_facts_bear_on_which_point(line: CommandLine, life: str, out: Any) -> None:
    folder, _ = out("system", "ai-act", f"projects/{life}/endpoints/eu")
    points = {one["point"]: one for one in table(folder, "points")}
    assert "FindingRaised 1" in points["Article 12(2)(a)"]["kinds of facts"]
    assert "TrafficShifted" in points["Article 12(2)(c)"]["kinds of facts"]
    assert len(table(folder, "risk-and-modification")) == int(points["Article 12(2)(a)"]["facts"])
    assert "is for its provider and its deployer to judge" in (folder / "index.html").read_text()
    kept = {one["what"]: one["value"] for one in table(folder, "kept")}
    assert kept["first fact of the system in the log"].startswith("revision ")
    assert [one["kept"] for one in table(folder, "retentions")] == ["3650 days from sealing on"]
    assert [one["hold"] for one in table(folder, "holds")] == [f"projects/{life}/holds/case-1"]
    shift = line.json("history", f"projects/{life}/endpoints/eu", "--type", "TrafficShifted")[-1]["fact"]["recordedAt"]
    later, _ = out("later", "ai-act", f"projects/{life}/models/fraud", "--from", shift)
    assert {one["fact"] for one in table(later, "risk-and-modification")} == {"TrafficShifted", "RolloutSucceeded"} | {
        one["fact"] for one in table(later, "risk-and-modification") if one["fact"] == "RolloutPromoted"
    }
    assert [one["version"] for one in table(later, "serving")][-1:] == [f"{life}/fraud/2"]


def test_what_monitoring_saw_is_drawn_and_told(line: CommandLine, project: str, out: Any) -> None:
    signature = line.file("signature.json", {"inputs": [{"name": "age", "type": "DATA_TYPE_FLOAT64"}]})
    line("versions", "register", f"{project}/fraud", line.file("model.onnx", "weights"), "--signature", f"@{signature}")
    checks = ("--window-rows", "200", "--check", "psi=0.2", "--check", "volume=5")
    line("monitors", "create", project, "batch", f"projects/{project}/models/fraud", *checks)
    rows = [row % 50 for row in range(1_000)]
    line("monitors", "baseline", f"{project}/batch", line.file("base.csv", "age\n" + "\n".join(map(str, rows))))
    shifted = [*rows[:200], *(row + 30 for row in rows[:200])]
    scored = line.file("scored.csv", "age,label\n" + "\n".join(f"{age},1" for age in shifted))
    line(
        "monitors",
        "log",
        scored,
        "--version",
        f"{project}/fraud/1",
        "--monitor",
        f"{project}/batch",
        "--output",
        "label",
    )
    deadline = time.monotonic() + 20
    while not line.json("alerts", "list", f"{project}/batch"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for name, asked in (("life", "model"), ("system", "ai-act")):
        model = f"{project}/fraud" if asked == "model" else f"projects/{project}/models/fraud"
        folder, _ = out(name, asked, model)
        outcomes = [(one["check"], one["window"], one["outcome"]) for one in table(folder, "checks")]
        assert ("psi", "1", "ok") in outcomes
        assert ("psi", "2", "failed") in outcomes
        assert "<figcaption>psi</figcaption>" in (folder / "index.html").read_text()
        assert [one["state"] for one in table(folder, "alerts")] == ["firing"]
    market = [one["fact"] for one in table(folder, "post-market-monitoring")]
    assert market.count("WindowEvaluated") == 1  # The other one held.
    assert {"MonitorCreated", "BaselineCaptured", "AlertRaised"} <= set(market)
    assert "2 windows" in (folder / "index.html").read_text()


def test_an_access_audit_tells_grants_emergencies_refusals_and_readers(life: str, out: Any) -> None:
    folder, _ = out("access", "access", life)
    (grant,) = table(folder, "grants")
    assert (grant["fact"], grant["actor"]) == ("RoleGranted", "users/mina")
    assert "users/ben" in grant["what"]
    (emergency,) = table(folder, "emergencies")
    assert (emergency["actor"], emergency["reason"]) == ("users/otto", "outage")
    assert "users/otto" in [one["principal"] for one in table(folder, "roles") if one["emergency"]]
    (refused,) = table(folder, "refused")
    assert (refused["who"], refused["reason"]) == ("users/ben", "SELF_GRANT")
    assert "users/eve" in [one["who"] for one in table(folder, "reads")]
    assert table(folder, "gaps") == []


def test_a_pack_made_after_an_erasure_has_the_words_no_longer_and_still_holds(
    line: CommandLine, wanting: str, out: Any, keys: tuple[str, ...]
) -> None:
    moment = now()
    before, _ = out("before", "model", f"{wanting}/fraud", "--at", moment)
    line("erasures", "request", wanting, "e1", "--author", "users/rui", "--authority", "request 7")
    deadline = time.monotonic() + 20
    while line.json("erasures", "get", f"{wanting}/e1")["state"] != "ERASURE_STATE_ERASED":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    after, _ = out("after", "model", f"{wanting}/fraud", "--at", moment)
    assert WORDS in (before / "data" / "timeline.json").read_text()
    assert [name for name, content in files(after).items() if WORDS.encode() in content] == []
    assert "[no longer kept]" in (after / "index.html").read_text()
    assert (before / "facts.jsonl").read_bytes() == (after / "facts.jsonl").read_bytes()
    line("audit", "pack", "verify", after, *keys)


def test_what_was_changed_is_told_by_the_command(
    line: CommandLine, project: str, out: Any, keys: tuple[str, ...], alone: CommandLine
) -> None:
    folder, _ = out("pack", "inventory", project)
    assert "verified" in alone("audit", "pack", "verify", folder, *keys).out
    told = alone("audit", "verify", folder, keys[0], keys[1])
    assert "the signature of whoever made the pack was not checked" in told.err
    alone("audit", "verify", folder, keys[0], keys[1], "--witness", "x", expect=USAGE)
    (folder / "data" / "models.csv").write_text("model\nmine\n")
    told = alone("audit", "pack", "verify", folder, *keys, expect=UNVERIFIED)
    assert "FILE_CHANGED" in told.out
    assert "data/models.csv is not what the manifest says" in told.out


def test_what_cannot_be_made_is_refused_in_a_sentence(
    line: CommandLine, project: str, out: Any, tmp_path: Path
) -> None:
    made = ("--sign-with", line.folder / "signer", "--out", tmp_path / "x")
    out("there", "inventory", project)
    pack = ("audit", "pack")
    assert "is there already" in line(*pack, "inventory", *made[:3], tmp_path / "there", expect=USAGE).err
    assert "nothing of" in line(*pack, "inventory", project, "--at", "2000-01-01", *made, expect=USAGE).err
    assert "the log ends at" in line(*pack, "inventory", "--at", "999999999", *made, expect=USAGE).err
    assert "in full" in line(*pack, "ai-act", f"{project}/fraud", *made, expect=USAGE).err
    assert "to be over" in line(*pack, "access", "--to", "2999-01-01", *made, expect=USAGE).err
    assert "--from and --to" in line(*pack, "access", "--at", "1", *made, expect=USAGE).err
    strange = f"projects/{project}/endpoints/nowhere"
    assert "nothing was recorded of" in line(*pack, "ai-act", strange, *made, expect=USAGE).err
    assert "still to come" in line(*pack, "inventory", "--at", "2999-01-01", *made, expect=USAGE).err
    line(*pack, "model", f"{project}/nothing", *made, expect=NOT_FOUND)
    wrong = ("--sign-with", line.file("no.pem", "no key"), "--out", tmp_path / "x")
    assert "not a private key" in line(*pack, "inventory", project, *wrong, expect=USAGE).err
    assert not (tmp_path / "x").exists()


def test_a_new_key_of_the_log_changes_no_pack_of_before(
    line: CommandLine, project: str, out: Any, keys: tuple[str, ...]
) -> None:
    time.sleep(0.01)
    moment = now()
    before, _ = out("before", "inventory", project, "--at", moment)
    line("audit", "rotate-key", "--reason", "yearly")
    again, _ = out("again", "inventory", project, "--at", moment)
    assert files(again) == files(before)
    line("models", "tag", f"{project}/fraud", "team", "risk")
    after, _ = out("after", "inventory", project)
    newest = line("audit", "key").out.split()[-1]
    assert newest not in (before / "policy.json").read_text()
    for key in (keys[1], newest):
        line("audit", "pack", "verify", after, "--key", key, *keys[2:])
    line("audit", "pack", "verify", before, *keys)
    line.file("log.vkey", line("audit", "key").out)
    revision = json.loads((after / "manifest.json").read_text())["facts"][-1]
    fact, proof = (after / "proofs" / f"{revision:012d}.{kind}" for kind in ("fact", "tlog-proof"))
    line("audit", "verify-fact", fact, proof, "--key", f"@{line.folder / 'log.vkey'}")
    told = line("audit", "pack", "verify", before, "--key", newest, *keys[2:], expect=UNVERIFIED).out
    assert "BAD_SIGNATURE" in told  # A pack knows no key that came after it.
