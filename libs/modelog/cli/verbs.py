"""Commands made from methods: a request's fields become arguments and options, its reply a table or JSON."""

import importlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import AT, Command, State, state_of
from modelog.cli.values import assign, find, type_of

# How many rows a person is shown unless they ask for more; a program gets all.
_ROWS = 100
Prepare = Callable[[State, Any, dict[str, Any]], None]
Show = Callable[[State, Any], int | None]
Tabulate = Callable[[Sequence[Any]], None]


@dataclass(frozen=True)
class Field:
    """A field of a request by its dotted path, as an argument or an option.

    kind: the kind of resource it names, if any. flag: the option's name when it is not that of the field.
    """

    path: str
    help: str = ""
    kind: str = ""
    flag: str = ""
    required: bool = False
    argument: bool = False

    @property
    def key(self) -> str:
        return self.path.replace(".", "__")

    def parameter(self, request: Any) -> click.Parameter:
        """The parameter; request: the descriptor of the request."""
        field = find(request, self.path)
        kind = Name(self.kind) if self.kind else type_of(field)
        many = field.is_repeated
        label = self.path.rpartition(".")[2]
        if self.argument:
            metavar = self.kind.upper() or label.upper()
            return click.Argument(
                [self.key],
                type=kind,
                nargs=-1 if many else 1,
                required=self.required,
                metavar=f"{metavar}{'...' if many else ''}",
            )
        flag = self.flag or f"--{label.replace('_', '-')}"
        if field.cpp_type == field.CPPTYPE_BOOL and not many:
            return click.Option([flag, self.key], is_flag=True, help=self.help)
        return click.Option([flag, self.key], type=kind, multiple=many, required=self.required, help=self.help)


def arg(path: str, kind: str = "", *, required: bool = True) -> Field:
    """A field that is typed without its name."""
    return Field(path, kind=kind, required=required, argument=True)


def opt(path: str, text: str, *, kind: str = "", flag: str = "", required: bool = False) -> Field:
    """A field that is typed with its name."""
    return Field(path, text, kind, flag, required)


def verb(
    name: str,
    method: str,
    text: str,
    *fields: Field,
    extra: Sequence[click.Parameter] = (),
    prepare: Prepare | None = None,
    show: Show | None = None,
    tabulate: Tabulate = render.rows,
) -> click.Command:
    """The command `name` that calls `method`, for example `registry.GetVersion`.

    extra: parameters that are no field; prepare(state, request, values) fills the request from them. show: prints the
    reply in place of the usual way and may return the exit status. tabulate: prints the items of a list for people.
    """
    descriptor = _method(method)
    request = descriptor.input_type
    listing = "page_token" in request.fields_by_name
    standing = [_limit] if listing else [Field(*one) for one in _STANDING if one[0] in request.fields_by_name]
    own = [field.parameter(request) for field in fields]
    more = [one.parameter(request) if isinstance(one, Field) else one() for one in standing]

    def run(**values: Any) -> int | None:
        state = state_of(click.get_current_context())
        asking: Any = message_factory.GetMessageClass(request)()
        fill(asking, [*fields, *(one for one in standing if isinstance(one, Field))], values)
        if prepare is not None:
            prepare(state, asking, values)
        if "update_mask" in request.fields_by_name and not asking.update_mask.paths:
            raise click.UsageError("say what to change: see --help")
        if listing:
            _list(state, method, asking, values["limit"], tabulate)
            return None
        reply = state.call(method, asking)
        if show is not None:
            return show(state, reply)
        return render.reply(reply, as_json=state.as_json, dry=bool(values.get("validate_only")))

    return Command(name, params=[*own, *extra, *more], callback=run, help=text, short_help=text, method=method)


# Of every list that can be filtered and ordered.
NARROWED = (
    opt("filter", "Only those that meet it: tags.team = risk AND metrics.auc >= 0.9."),
    opt("order_by", "In this order: metrics.auc desc, create_time."),
)

_STANDING = (
    ("reason", "Why; recorded with the fact."),
    ("etag", "Only if the resource still has this generation."),
    ("request_id", "Repeat a lost request under its id."),
    ("validate_only", "Only say whether it would be accepted.", "", "--dry-run"),
)


def _limit() -> click.Parameter:
    return click.Option(
        ["--limit"], type=click.IntRange(0), help=f"At most so many; 0 is all. [{_ROWS}; all with --json]"
    )


def _method(method: str) -> MethodDescriptor:
    service, _, name = method.partition(".")
    file = service.removesuffix("s")
    module = importlib.import_module(f"modelog.{AT.get(service, service)}.v1.{file}_service_pb2")
    descriptor: MethodDescriptor = module.DESCRIPTOR.services_by_name[f"{file.capitalize()}Service"].methods_by_name[
        name
    ]
    return descriptor


def fill(request: Any, fields: Sequence[Field], values: dict[str, Any]) -> None:
    """What was typed, and the mask of it where the request has one."""
    typed = [field for field in fields if _given(values.get(field.key))]
    for field in typed:
        assign(request, field.path, values[field.key])
    if "update_mask" in request.DESCRIPTOR.fields_by_name:
        changed = (field.path for field in typed if not field.argument and field.path not in _STANDING_PATHS)
        inside = (path.removeprefix(_MASKED.get(request.DESCRIPTOR.name, "")) for path in changed)
        request.update_mask.paths.extend(dict.fromkeys(path.partition(".")[0] for path in inside))


_STANDING_PATHS = tuple(one[0] for one in _STANDING)
# Where the paths of a mask begin, when not at the request itself.
_MASKED = {
    "UpdateModelRequest": "details.",
    "UpdateVersionRequest": "documentation.",
    "UpdateWebhookRequest": "settings.",
}


def _given(value: Any) -> bool:
    """Whether it was typed; an empty text was, and clears what it is put into."""
    return value is not None and value is not False and value != ()


def _list(state: State, method: str, request: Any, limit: int | None, tabulate: Tabulate) -> None:
    from modelog.sdk import pages

    most = (0 if state.as_json else _ROWS) if limit is None else limit
    if most:
        request.page_size = min(most + 1, 500)
    items = pages(state.stub(method, request), request)
    shown = list(itertools.islice(items, most or None))
    render.items(shown, as_json=state.as_json, tabulate=tabulate)
    if most and next(items, None) is not None:
        click.echo(f"only the first {most} are shown; --limit 0 shows all", err=True)
