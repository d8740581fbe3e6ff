"""The pieces of the demo. That all of it plays is what `make demo` itself shows, which the pipeline runs."""

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as Packed
from rich.console import Console
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1.types_pb2 import ServingInterval, TrafficShare
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import DataSet
from modelog.sdk import Client, Entry
from services.registry.domain.lifecycle import BUILT_IN
from services.registry.domain.policy import check_policy
from suite import demo
from suite.demo import approving, intervals, run, train
from suite.demo.evaluate import evaluation
from suite.demo.journal import Journal, Late
from suite.demo.report import Report
from suite.demo.screen import Screen
from suite.demo.traffic import VERSION_HEADER, Traffic
from suite.folder import FolderInUse
from tests.archive import trees

V1, V2 = (f"projects/oncology/models/tumor/versions/{number}" for number in (1, 2))
CLINIC = "projects/oncology/endpoints/clinic"


@pytest.fixture(scope="module")
def parts() -> train.Parts:
    return train.parts()


# -- the models


def test_the_exported_model_answers_as_the_trained_one_does(parts: train.Parts) -> None:
    pipeline = train.fit(parts.training, strength=1.0)
    labels, scores = train.run(train.export(pipeline), parts.holdout.rows)
    assert (labels == pipeline.predict(parts.holdout.rows)).all()
    assert np.abs(scores - pipeline.predict_proba(parts.holdout.rows)[:, 1]).max() < 1e-5


def test_training_again_gives_the_same_bytes_and_data_files_too(parts: train.Parts) -> None:
    first, again = (train.export(train.fit(parts.training, strength=1.0)) for _ in range(2))
    assert first == again
    assert train.as_csv(parts.live) == train.as_csv(train.parts().live)


def test_no_row_is_in_two_parts(parts: train.Parts) -> None:
    rows = [row.tobytes() for part in parts for row in part.rows]
    assert len(rows) == 569
    assert len(set(rows)) == len(rows)


def test_the_new_scanner_harms_the_first_model_and_not_the_second(parts: train.Parts) -> None:
    first = train.export(train.fit(parts.training, strength=1.0))
    both = train.joined(parts.training, train.shifted(parts.training))
    second = train.export(train.fit(both, strength=1.0))
    patients = train.shifted(parts.live)
    told = [accuracy_score(patients.labels, train.run(model, patients.rows)[0]) for model in (first, second)]
    assert told[0] < 0.9 < 0.96 < told[1]


def test_the_third_model_passes_on_the_batch_of_its_evaluation_and_fails_on_one_row(parts: train.Parts) -> None:
    rows = parts.holdout.rows
    model = train.export(train.fit(parts.training, strength=3.0), batch_rows=len(rows))
    assert len(train.run(model, rows)[0]) == len(rows)
    with pytest.raises(Exception, match="invalid dimensions"):
        train.run(model, rows[:1])


def test_what_is_recorded_of_a_model_is_what_scikit_learn_measures(parts: train.Parts) -> None:
    data = parts.holdout
    model = train.export(train.fit(parts.training, strength=1.0))
    measured = evaluation(model, data, DataSet(name="holdout"), threshold=0.7)
    scores = train.run(model, data.rows)[1]
    found = scores >= 0.7
    metrics = {name: metric.value for name, metric in measured.metrics.items()}
    assert metrics == pytest.approx(
        {
            "accuracy": accuracy_score(data.labels, found),
            "recall": recall_score(data.labels, found),
            "precision": precision_score(data.labels, found),
            "auc": roc_auc_score(data.labels, scores),
        },
        abs=1e-6,
    )
    assert sum(one.rows for one in measured.slices) == len(data.labels) == sum(measured.fairness[0].group_rows.values())


def test_the_policy_of_the_demo_is_a_sound_one() -> None:
    check_policy(approving.POLICY, BUILT_IN)


# -- the log


def entry(revision: int, event: Any, resource: str = CLINIC) -> Entry:
    packed = Packed()
    packed.Pack(event)
    fact = Fact(resource=resource, generation=revision, event=packed)
    return Entry(revision, "lifecycle.x", fact.SerializeToString())


def shift(revision: int, **shares: int) -> Entry:
    traffic = [
        TrafficShare(version={"v1": V1, "v2": V2}[name], percent=percent, approved_by=["users/rui", "users/mina"])
        for name, percent in shares.items()
    ]
    return entry(revision, deployment.TrafficShifted(traffic=traffic, requested_by="users/otto"))


def test_intervals_are_told_from_facts_as_the_service_answers_them() -> None:
    facts = [shift(3, v1=100), shift(5, v1=90, v2=10), shift(6, v1=90, v2=10), shift(9, v2=100)]
    people = ("users/mina", "users/rui")
    told = intervals.of_facts(facts, begin=3, end=20)
    assert [tuple(one)[:4] for one in told] == [(3, 5, V1, 100), (5, 9, V1, 90), (5, 9, V2, 10), (9, 0, V2, 100)]
    assert {one.approved_by for one in told} == {people}
    assert [one.from_revision for one in intervals.of_facts(facts, begin=5, end=9)] == [5, 5]
    answer = ServingInterval(version=V2, percent=100, from_revision=9, requested_by="users/otto", approved_by=people)
    assert intervals.of_service([answer]) == told[-1:]


class Reader:
    """As much of a client as a journal needs: what it subscribes to is put in by hand."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Entry | Exception] = asyncio.Queue()

    async def subscribe(self, _from_revision: int) -> AsyncIterator[Entry]:
        while True:
            one = await self.given.get()
            if isinstance(one, Exception):
                raise one
            yield one


async def test_a_journal_waits_for_the_fact_that_is_meant() -> None:
    reader = Reader()
    async with Journal(cast(Client, reader), 4) as journal:
        wanted = asyncio.create_task(
            journal.first(deployment.RolledBack, of="r/2", after=4, where=lambda event: event.version == V2)
        )
        for revision, resource, version in ((4, "r/2", V2), (5, "r/1", V2), (6, "r/2", V1), (7, "r/2", V2)):
            reader.given.put_nowait(entry(revision, deployment.RolledBack(version=version), resource))
        assert (await wanted).revision == 7
        await journal.reach(7)
        assert [one.revision for one in journal.between(4, 6)] == [5, 6]
        with pytest.raises(Late, match=r"RolledBack of r/3 within 0\.05 s"):
            await journal.first(deployment.RolledBack, of="r/3", seconds=0.05)


async def test_a_journal_that_cannot_be_read_any_more_says_why() -> None:
    reader = Reader()
    async with Journal(cast(Client, reader), 1) as journal:
        reader.given.put_nowait(ConnectionError("the archive is gone"))
        with pytest.raises(ConnectionError, match="gone"):
            await journal.reach(1)


# -- live requests


class Inference(BaseHTTPRequestHandler):
    """Answers every row with label 1, and every tenth request with an error."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def do_POST(self) -> None:
        Inference.seen += 1
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = 500 if Inference.seen % 10 == 0 else 200
        outputs = [{"name": "label", "data": [1] * request["inputs"][0]["shape"][0]}]
        body = json.dumps({"id": request["id"], "outputs": outputs}).encode()
        self.send_response(status)
        self.send_header(VERSION_HEADER, V1)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing on the test's terminal."""


@pytest.fixture
def inference() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Inference) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/oncology/clinic"
        server.shutdown()


async def test_traffic_keeps_what_came_of_every_request(inference: str, parts: train.Parts) -> None:
    async with Traffic(inference, "projects/oncology/models/tumor", parts.live, per_second=400) as traffic:
        await traffic.more(50)
    answered = [one for one in traffic.answers if one.status == 200]
    assert {one.status for one in traffic.answers} == {200, 500}
    assert {(one.version, one.label) for one in answered} == {(V1, 1)}
    assert len({one.prediction for one in traffic.answers}) == len(traffic.answers)
    assert {one.truth for one in traffic.answers} == {0, 1}


async def test_traffic_to_nobody_is_told_as_unanswered(parts: train.Parts) -> None:
    async with Traffic("http://127.0.0.1:1/x", "projects/oncology/models/tumor", parts.live) as traffic:
        await traffic.more(3)
    assert {(one.status, one.label) for one in traffic.answers} == {(0, -1)}


# -- evidence


def offline(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "suite.demo.offline", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_evidence_is_verified_offline_and_a_forged_fact_is_found_where_it_is(tmp_path: Path) -> None:
    payloads = trees.facts(20)
    log = trees.Log(payloads)
    bundle, seen, payload = tmp_path / "bundle.tar", tmp_path / "seen", tmp_path / "payload"
    bundle.write_bytes(trees.packed(log.files(1, 20, 20, proofs=[7]), 1, 20, 20))
    seen.write_text(log.note(12))
    payload.write_bytes(payloads[6])
    whole = offline("verify", bundle, trees.VKEY, seen)
    assert (whole["findings"], whole["entries"], whole["size"], whole["checkpoints"]) == ([], 20, 20, 2)
    proved = offline("fact", bundle, trees.VKEY, payload, 7)
    assert (proved["findings"], proved["proofs"]) == ([], 1)
    forged = offline("forged", bundle, trees.VKEY, payload)
    assert [one["revision"] for one in forged["findings"] if one["code"] == "ENTRY_CHANGED"] == [7]


def test_the_offline_process_can_use_no_socket() -> None:
    code = "import socket, sys; from suite.demo import offline; sys.addaudithook(offline._refuse); socket.socket()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NetworkUsed" in done.stderr


# -- the program


def playing(monkeypatch: pytest.MonkeyPatch, *checks: tuple[object, object], error: Exception | None = None) -> None:
    """Puts another play in the place of the real one: one step with these comparisons, or an error in it."""

    async def instead(_folder: Path, report: Report, screen: Screen) -> None:
        report.project, report.steps_planned = "projects/oncology", 1
        with screen.doing("1 [Nothing]"):
            for expected, found in checks:
                report.check("[one] thing", expected, found)
            if error is not None:
                raise error
        made = entry(3, deployment.RolloutRequested(version=V1), f"{CLINIC}/rollouts/1")
        screen.step(report.step("[Nothing]", "nothing happened", 0.1, [made]))

    monkeypatch.setattr(run, "play", instead)


def told(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_the_status_is_0_when_every_verification_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    playing(monkeypatch, (1, 1), ([], []))
    assert demo.main(tmp_path) == 0
    report = told(tmp_path)
    assert report["ok"]
    assert report["steps"][0]["facts"] == [
        {
            "revision": 3,
            "resource": f"{CLINIC}/rollouts/1",
            "generation": 3,
            "kind": "RolloutRequested",
            "actor": "",
        }
    ]


def test_the_status_is_1_when_one_verification_does_not_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    playing(monkeypatch, (1, 1), ({"a": 1}, {"a": 2}))
    assert demo.main(tmp_path) == 1
    report = told(tmp_path)
    assert not report["ok"]
    assert [one["ok"] for one in report["verifications"]] == [True, False]


def test_the_status_is_1_when_nothing_was_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    playing(monkeypatch)
    assert demo.main(tmp_path) == 1


def test_a_play_that_breaks_off_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playing(monkeypatch, (1, 1), error=Late("no RecordSealed"))
    assert demo.main(tmp_path) == 1
    assert told(tmp_path)["failure"] == "Late: no RecordSealed"
    assert "step 1: Late: no RecordSealed" in capsys.readouterr().out


def test_the_report_of_another_play_in_the_folder_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text("theirs")
    playing(monkeypatch, error=FolderInUse("in use"))
    assert demo.main(tmp_path) == 1
    assert (tmp_path / "report.json").read_text() == "theirs"


def test_json_is_all_that_is_printed_for_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playing(monkeypatch, (1, 1))
    assert demo.main(tmp_path, True) == 0
    assert json.loads(capsys.readouterr().out) == told(tmp_path)


def test_a_terminal_sees_the_step_and_a_broken_verification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = io.StringIO()
    monkeypatch.setattr(run, "Console", lambda **_: Console(file=output, force_terminal=True, width=120))
    playing(monkeypatch, ([V1], [V2]))
    assert demo.main(tmp_path) == 1
    shown = output.getvalue()
    assert "[Nothing]:" in shown
    assert "BROKEN" in shown
    assert "0 of 1 verifications held" in shown
