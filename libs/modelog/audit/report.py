"""What a verification found, precisely enough to look for the cause."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. code is stable for programs; revision is 0 where no single fact is meant.

    FILE_UNREADABLE, FILE_MISSING, FILE_CHANGED, FILE_UNEXPECTED: the bundle itself. BAD_SIGNATURE, WRONG_CHECKPOINT:
    the signed root. WRONG_ROOT: the facts do not lead to it. ENTRY_CHANGED, ENTRY_MISSING, ENTRY_MOVED, ENTRY_INSERTED,
    LOG_CUT: what happened to which fact. LEAVES_CHANGED: the list of hashes, not the facts. BROKEN_GENERATIONS: facts
    of one resource that do not follow each other. BAD_PROOF: an inclusion proof that does not hold. NOT_WITNESSED: the
    witness that was named has not vouched for the signed root.
    """

    code: str
    message: str
    revision: int = 0
    file: str = ""


@dataclass
class Report:
    """The outcome. `ok` only when nothing at all is wrong; notes say what could not be compared.

    witnessed: when the witness vouched for the root, seconds since 1970; 0 when none was asked for.
    """

    origin: str = ""
    size: int = 0
    root: str = ""
    from_revision: int = 0
    to_revision: int = 0
    entries: int = 0
    unreadable: int = 0
    checkpoints: int = 0
    proofs: int = 0
    witnessed: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def found(self, code: str, message: str, *, revision: int = 0, file: str = "") -> None:
        self.findings.append(Finding(code, message, revision, file))
