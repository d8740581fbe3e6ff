"""What the options before the command say, and the client they lead to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from modelog.sdk import SyncClient

# What is answered at another service's address than its name says.
AT = {
    **dict.fromkeys(("collaboration", "webhooks"), "registry"),
    **dict.fromkeys(("subscriptions", "erasures", "retentions"), "archive"),
}
# A person does not want to wait for the whole deadline to hear that nothing runs.
_PATIENCE_SECONDS = 3.0
_CATCH_UP_SECONDS = 2.0


@dataclass
class State:
    """One run of the command line."""

    context: click.Context
    as_json: bool = False
    at: str = ""
    actor: str = ""
    timeout: float = 30.0
    debug: bool = False
    _client: "SyncClient | None" = None
    _caught_up: bool = False

    def client(self, *, past: bool = False) -> "SyncClient":
        """The client of this run; its reads are as of `--at`, which is refused unless the command says `past`: that
        nothing it calls tells of now."""
        if self.at and not past:
            raise click.UsageError("this command tells of now, or acts now; leave the moment out")
        if self._client is None:
            from modelog.cli.settings import quiet_transport
            from modelog.sdk import connect_sync

            if not self.debug:
                quiet_transport()
            client = connect_sync(
                actor=self.actor,
                deadline_seconds=self.timeout,
                patience_seconds=min(_PATIENCE_SECONDS, self.timeout),
            )
            self._client = client.as_of(moment(self.at)) if self.at else client
            self.context.call_on_close(self._client.close)
        return self._client

    def stub(self, method: str, request: Any) -> Any:
        """The method `registry.GetVersion` and the like. UsageError for `--at` with what does not read the past."""
        fields = request.DESCRIPTOR.fields_by_name
        if self.at and "request_id" in fields:
            raise click.UsageError("this command writes, and the past stays as it was; leave the moment out")
        if self.at and "read" not in fields:
            raise click.UsageError("this command tells of now, or of when its own options say; leave the moment out")
        service, _, name = method.partition(".")
        if not self.at and "read" in fields:
            self._catch_up(AT.get(service, service))
        return getattr(getattr(self.client(past=True), service), name)

    def _catch_up(self, service: str) -> None:
        """Lets the reads of this run see what runs before it have written. Without the log the views still answer."""
        from modelog.sdk import Refused

        if self._caught_up:
            return
        self._caught_up = True
        try:
            self.client().catch_up(service, timeout=_CATCH_UP_SECONDS)
        except Refused as error:
            if error.reason == "UNAVAILABLE":  # There is no service at all.
                raise

    def version(self, name: str) -> Any:
        """A version as it is, or was at --at."""
        from modelog.registry.v1.registry_service_pb2 import GetVersionRequest

        return self.call("registry.GetVersion", GetVersionRequest(name=name))

    def project(self, name: str) -> Any:
        """A project as it is, or was at --at."""
        from modelog.registry.v1.registry_service_pb2 import GetProjectRequest

        return self.call("registry.GetProject", GetProjectRequest(name=name))

    def call(self, method: str, request: Any) -> Any:
        """The reply of such a method."""
        return self.stub(method, request)(request)


def state_of(ctx: click.Context) -> State:
    """The state of the run that a command belongs to."""
    state = ctx.find_object(State)
    assert state is not None
    return state


def moment(text: str, option: str = "--at") -> int | datetime:
    """A revision, a time or a date, which is its beginning; without zone it is UTC."""
    if text.isdecimal():
        if int(text) < 1:
            raise click.BadParameter("revisions begin with 1", param_hint=option)
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a revision nor a time like 2026-05-01T12:00:00Z", param_hint=option
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def time_of(text: str, option: str, wanted: str = "say a time like 2026-05-01T12:00:00Z") -> datetime:
    """A time, where a revision is none."""
    found = moment(text, option)
    if isinstance(found, int):
        raise click.BadParameter(wanted, param_hint=option)
    return found


def common_options() -> list[click.Parameter]:
    """Options of the root that are also understood behind the command, where people tend to write them."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(state_of(ctx), str(parameter.name), value)

    return [
        click.Option(["--json", "as_json"], is_flag=True, expose_value=False, callback=keep, help="Print JSON."),
        click.Option(["--at"], hidden=True, expose_value=False, callback=keep),
        click.Option(["--as", "actor"], hidden=True, expose_value=False, callback=keep),
        click.Option(["--timeout"], type=float, hidden=True, expose_value=False, callback=keep),
        click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False, callback=keep),
    ]


class Command(click.Command):
    """A command that takes the common options too. method: what it calls, when it is made from a method."""

    def __init__(self, *arguments: Any, method: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.method = method
        self.params += common_options()


class Noun(click.Group):
    """A noun with its verbs."""

    command_class = Command
