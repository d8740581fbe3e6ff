"""`modelog versions compare`: versions side by side, with what happened to them and between them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, enum, tail, time
from modelog.cli.state import State
from modelog.cli.verbs import arg, opt, verb

# Which part of a version a field belongs to, by the first word of its path, in the order in which they are shown.
_SECTIONS = {
    "stage": "Where they stand",
    "phase": "Where they stand",
    "deprecation": "Where they stand",
    "record": "Where they stand",
    "verdicts": "Approvals",
    "author": "Made by",
    "framework": "Made by",
    "parent_version": "Made by",
    "answers": "Made by",
    "tags": "Tags",
    "artifact": "Artifact",
    "source": "Code",
    "hyperparameters": "Hyperparameters",
    "training_data": "Data",
    "documentation": "Documentation",
    "evaluations": "Evaluations",
}
_LAST = "Further"
_CHANGES = {1: "", 2: "better", 3: "worse"}
_STYLES = {2: "green", 3: "red"}
_SUFFIXES = (".svg", ".html", ".htm")
_CELL_CHARACTERS = 60
Row = list[Cell | str]


def _prepare(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.include_equal = request.include_equal or values["everything"]
    path = values["chart"]
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise click.UsageError(f"--chart: {path} ends in none of {', '.join(_SUFFIXES)}")


def _compared(state: State, reply: Any) -> None:
    chart = click.get_current_context().params["chart"]
    if chart is not None:
        _draw(chart, reply)
    if state.as_json:
        return render.print_json(render.plain(reply))
    render.table(["", *(tail(name) for name in reply.names)], _rows(reply))
    if reply.sources:
        _sources(reply)
    if reply.serving:
        click.echo()
        rows = [[tail(one.version), tail(one.endpoint), f"{one.percent} %"] for one in reply.serving]
        render.table(["version", "serves at", "share"], rows)
    if reply.incidents:
        _incidents(reply)
    if reply.facts:
        _facts(reply)
    if reply.more_facts:
        click.echo(f"only the first {len(reply.facts)} facts are shown; `modelog history` has all", err=True)
    if reply.facts_withheld:
        click.echo("the facts between are for those who may read history (archive.history.get)", err=True)
    return None


def _rows(reply: Any) -> Iterator[Row]:
    """One column a version, section by section; of metrics the best is marked, and how each stands to the first."""
    sections: dict[str, list[Row]] = {title: [] for title in ["Schema", *dict.fromkeys(_SECTIONS.values()), _LAST]}
    for row in reply.columns:
        sections["Schema"].append([row.path, *(one or "-" for one in row.types)])
    for field in reply.fields:
        first = field.path.partition(".")[0]
        if first != "signature":  # The schema says it in fewer rows.
            sections[_SECTIONS.get(first, _LAST)].append([field.path, *map(_value, field.values)])
    for metric in reply.metrics:
        sections["Evaluations"].append(_metric(metric, reply.names))
    for title, rows in sections.items():
        if rows:
            yield [Cell(title, "bold"), *([""] * len(reply.names))]
            yield from rows


def _value(text: str) -> str:
    return text if len(text) <= _CELL_CHARACTERS else f"{text[:_CELL_CHARACTERS]}…"


def _metric(metric: Any, names: Any) -> Row:
    cells: Row = [metric.path]
    for name, one, told in zip(names, metric.values, metric.differences, strict=True):
        text = f"{one.value:g}{' best' if name in metric.best else ''}" if one.HasField("value") else "-"
        if told.HasField("difference") and told.difference:
            share = f", {told.relative:+.1%}" if told.HasField("relative") else ""
            word = _CHANGES.get(told.change, "")
            text += f" ({told.difference:+.4g}{share}{' ' * bool(word)}{word})"
        cells.append(Cell(text, "green" if name in metric.best else _STYLES.get(told.change, "")))
    return cells


def _sources(reply: Any) -> None:
    click.echo()
    rows = [
        [
            tail(one.name),
            one.repository or "another repository",
            f"git log {one.commit_range}" if one.commit_range else "-",
            Cell("made from uncommitted files", "yellow") if one.dirty else "",
        ]
        for one in reply.sources
    ]
    render.table(["code of", "repository", "commits since the first", ""], rows)


def _incidents(reply: Any) -> None:
    click.echo()
    kind = reply.incidents[0].DESCRIPTOR.fields_by_name["kind"]
    rows = [
        [tail(one.version), Cell(enum(kind, one.kind).text, "red"), one.resource, one.summary, time(one.time)]
        for one in reply.incidents
    ]
    render.table(["version", "incident", "resource", "about", "time"], rows)


def _facts(reply: Any) -> None:
    click.echo()
    rows = [
        [str(one.revision), time(one.time), tail(one.resource), one.event.rpartition(".")[2], one.actor, one.reason]
        for one in reply.facts
    ]
    render.table(["revision", "time", "resource", "what", "who", "why"], rows)


def _draw(path: Path, reply: Any) -> None:
    from modelog.cli.chart import html, svg

    if path.suffix.lower() == ".svg":
        text = svg(reply)
    else:
        titles = ["", *(tail(name) for name in reply.names)]
        plain = [[one.text if isinstance(one, Cell) else one for one in row] for row in _rows(reply)]
        text = html(reply, [titles, *plain])
    path.write_text(text, encoding="utf-8")


compare = verb(
    "compare",
    "registry.CompareVersions",
    "What differs between versions, of one model or of several, and which is better in each metric.",
    arg("names", "version"),
    opt("include_equal", "The same as --all."),
    opt("include_facts", "Also what happened to their models from the first registration to the last.", flag="--facts"),
    extra=(
        click.Option(["--all", "everything"], is_flag=True, help="Also what is the same in all."),
        click.Option(
            ["--chart"],
            type=click.Path(path_type=Path, dir_okay=False),
            help="Draw the metrics into this .svg, or this .html with the table below.",
        ),
    ),
    prepare=_prepare,
    show=_compared,
)
