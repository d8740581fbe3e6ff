"""The page of a pack: `index.html`, one file without scripts, to be read in any browser and printed."""

import re
from collections.abc import Iterator

from modelog.packs.evidence import Evidence
from modelog.packs.parts import Chapter, Content, Sheet
from modelog.pages.page import page as page_of
from modelog.pages.parts import Block, Code, Document, Fields, Group, Section, Table, Text, Value
from modelog.pages.words import tail

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")
_DIGEST = re.compile(r"[0-9a-f]{40,64}")
_MOST_ROWS = 500  # Of one table on the page; data/ has all.
_FOLDED_FROM = 40


def page(content: Content, evidence: Evidence) -> str:
    sections = [_section(one) for one in content.chapters]
    return page_of(
        Document(
            title=content.title,
            subtitle=content.subtitle,
            summary=content.summary,
            facts=content.facts,
            sections=[*(one for one in sections if one), _evidence(content, evidence)],
            closing=f"Made of what modelog's services answered as of revision {content.revision}. Times are UTC.",
        )
    )


def _section(chapter: Chapter) -> Section:
    blocks: list[Block] = [Text(chapter.body)] if chapter.body else []
    if chapter.charts:
        blocks.append(Group(chapter.charts))
    for sheet in chapter.sheets:
        blocks += _table(sheet)
    return Section(chapter.title, blocks)


def _table(sheet: Sheet) -> Iterator[Block]:
    if not sheet.rows:
        yield Text("None.", sheet.title)
        return
    shown = sheet.rows[:_MOST_ROWS]
    told = [place for place in range(len(sheet.head)) if any(row[place] for row in shown)]
    rows = [[_value(row[place]) for place in told] for row in shown]
    folded = sheet.folded or len(rows) > _FOLDED_FROM
    title = sheet.title or (f"{len(sheet.rows)} lines" if folded else "")
    yield Table([sheet.head[place] for place in told], rows, title, folded=folded)
    if len(shown) < len(sheet.rows):
        yield Text(f"The first {len(shown)} of {len(sheet.rows)} lines; data/{sheet.name}.csv has all.")


def _value(cell: str) -> Value:
    """Short enough for a page: times to the second, names by their ids, the first digits of digests."""
    if _DIGEST.fullmatch(cell):
        return Code(f"{cell[:12]}…")
    return tail(_TIME.sub(r"\1 \2", cell))


def _evidence(content: Content, evidence: Evidence) -> Section:
    head = evidence.checkpoint.head
    rows: list[tuple[str, Value]] = [
        ("As of revision", str(content.revision)),
        ("Facts proved", str(len(content.entries))),
        ("Log", evidence.checkpoint.origin),
        ("Checkpoint", f"size {head.size}"),
        ("Root", Code(head.root_hash.hex())),
        ("Check it", Code("modelog audit pack verify FOLDER --key LOG.VKEY --signer SIGNER.PUB")),
    ]
    told = (
        "Each fact that is listed here is in facts.jsonl, and as its exact bytes in proofs/ together with the proof"
        " that it stands at its place in the signed log. A proof shows that a fact was recorded, not that nothing else"
        " was: for that, `--bundle` compares with an exported log, by the selection in manifest.json.\n\n"
        "Tables are shortened here: columns that say nothing are left out, names are given by their ids, and times to"
        " the second. data/ holds every table whole, as CSV and JSON, and states/ every resource.\n\n"
        "What people wrote lies beside the log, where it can be erased. Pages, tables and states hold it as it was kept"
        " when they were made; facts.jsonl holds the markers that are proved.\n\n"
        "Tables and charts were made of what the services answered; the signature in manifest.dsse is the word of"
        " whoever made this folder for them."
    )
    return Section("Evidence", [Text(told), Fields(rows)])
