"""What all steps share: the running suite, one client for all people, and the names they speak of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from modelog.archive.v1.types_pb2 import Checkpoint
from modelog.sdk import Client, Entry
from modelog.sdk.tokens import Tokens, of_text
from suite.demo.journal import Journal
from suite.demo.report import Report
from suite.demo.train import Parts
from suite.issuer import Issuer
from suite.suite import Suite

# Ada makes models, Rui validates them, Mina answers for them, Otto runs them, Eva audits all of it; Petra and Paul say
# who may do what, and neither can do it alone.
ADA, RUI, MINA, OTTO, EVA, PETRA, PAUL = (
    f"users/{name}" for name in ("ada", "rui", "mina", "otto", "eva", "petra", "paul")
)
ADMINISTRATORS = (PETRA, PAUL)


class People:
    """Call metadata of a person: a token that the suite's issuer has signed, made anew before it runs out."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._tokens: dict[str, Tokens] = {}

    def token(self, person: str) -> str:
        if person not in self._tokens:
            self._tokens[person] = of_text(partial(self._issuer.token, person))
        return self._tokens[person].fetched()

    def __call__(self, person: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token(person)}"),)


@dataclass(frozen=True)
class Names:
    """Resources of one play. Every play takes a project of its own, so all of them are known beforehand."""

    project: str

    def own(self, entry: Entry) -> bool:
        """Whether a fact belongs to this play; earlier ones in the same log may still come to rest."""
        resource = entry.fact.resource if entry.fact else ""
        return resource == self.project or resource.startswith(f"{self.project}/")

    @property
    def model(self) -> str:
        return f"{self.project}/models/tumor"

    def version(self, number: int) -> str:
        return f"{self.model}/versions/{number}"

    @property
    def environment(self) -> str:
        return f"{self.project}/environments/production"

    @property
    def clinic(self) -> str:
        """The endpoint that patients' rows are sent to."""
        return f"{self.project}/endpoints/clinic"

    @property
    def laboratory(self) -> str:
        """A second endpoint, which goes on serving version 1 when the clinic has left it."""
        return f"{self.project}/endpoints/laboratory"

    @property
    def monitor(self) -> str:
        return f"{self.project}/monitors/clinic"


@dataclass
class Seen:
    """What the auditor notes down while the play goes on, to compare with at the end."""

    # The log's public key, as told before the play began.
    vkey: str = ""
    # States by name as they were read after step 3, the revision they were read at, and a checkpoint of that time.
    states: dict[str, bytes] = field(default_factory=dict)
    revision: int = 0
    checkpoint: Checkpoint = field(default_factory=Checkpoint)


@dataclass
class Stage:
    suite: Suite
    client: Client
    by: People
    journal: Journal
    report: Report
    names: Names
    parts: Parts
    # For files made on the way: data sets, exported models, the bundle.
    folder: Path
    note: Callable[[str], None]
    models: dict[int, bytes] = field(default_factory=dict)
    retraining: str = ""
    seen: Seen = field(default_factory=Seen)

    @property
    def artifacts(self) -> Path:
        return self.suite.folder / "artifacts"
