"""The configuration of the log's server, made of deploy/nats: who may do what, under which password.

The log lives in the account LOG. In a shared account a user who may do nothing but read can delete the stream or append
to it, because the server sends an answer to whatever subject the question named for it. Across accounts such an answer
ends in the asker's own account, and goes on from there only where that account might have published itself. So every
user of rights.json has an account of its own, and the account imports, subject by subject, exactly what the user may:

    publish         the subjects it is the owner of
    read a stream   STREAM.INFO, STREAM.MSG.GET, and CONSUMER.CREATE, .INFO, .DELETE and .MSG.NEXT of consumers named
                    <user>-1 to <user>-<followers>, which kernel/consumers.py takes in turn
    erase           STREAM.MSG.DELETE of a stream of texts, message by message

Nothing else of the JetStream API leaves the account LOG, whose only user, `provision`, makes the streams.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "nats"
API_PREFIX = "LOG.API"
PROVISION = "provision"
RIGHTS: Mapping[str, Any] = json.loads((FOLDER / "rights.json").read_text())
USERS = (PROVISION, *RIGHTS["users"])
_STREAM_VERBS = ("STREAM.INFO", "STREAM.MSG.GET")
_CONSUMER_VERBS = ("CONSUMER.INFO", "CONSUMER.DELETE", "CONSUMER.MSG.NEXT")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files as the server sees them. It asks clients for certificates of the same authority when `verify` is set."""

    certificate: str
    key: str
    ca: str
    verify: bool = False


def configuration(passwords: Mapping[str, str], tls: ServerTls | None = None) -> str:
    """The whole file, secrets included. KeyError for a user without a password."""
    exports, accounts = [], []
    for user, rights in RIGHTS["users"].items():
        account = user.upper()
        imports = []
        for subject, answer in _subjects(user, rights):
            many = ", response_type: stream" if answer == "stream" else ""
            exports.append(f'      {{service: "{subject}"{many}, accounts: [{account}]}}')
            to = f', to: "{API_PREFIX}{subject.removeprefix("$JS.API")}"' if subject.startswith("$JS.API") else ""
            imports.append(f'      {{service: {{account: LOG, subject: "{subject}"}}{to}}}')
        accounts.append(_account(account, user, passwords[user], "imports", imports))
    log = _account("LOG", PROVISION, passwords[PROVISION], "exports", exports, "    jetstream: enabled\n")
    parts = [(FOLDER / "nats.conf").read_text(), "accounts {\n", log, *accounts, "}\n"]
    return "".join(parts) + (_tls(tls) if tls else "")


def _subjects(user: str, rights: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Each subject the user may send to, and whether one answer comes or a `stream` of them."""
    for subject in rights["publish"]:
        yield subject, "one"
    for stream in rights.get("erase", ()):
        yield f"$JS.API.STREAM.MSG.DELETE.{stream}", "one"
    for stream in rights["read"]:
        for verb in _STREAM_VERBS:
            yield f"$JS.API.{verb}.{stream}", "one"
        for number in range(1, RIGHTS["followers"] + 1):
            name = f"{stream}.{user}-{number}"
            yield f"$JS.API.CONSUMER.CREATE.{name}", "one"
            yield f"$JS.API.CONSUMER.CREATE.{name}.>", "one"
            for verb in _CONSUMER_VERBS:
                yield f"$JS.API.{verb}.{name}", "stream" if verb.endswith("NEXT") else "one"


def _account(name: str, user: str, password: str, kind: str, lines: list[str], more: str = "") -> str:
    """An account with one user, who hears its own answers only."""
    allowed = "" if user == PROVISION else ', permissions: {subscribe: {allow: "_INBOX.>"}}'
    users = f'    users: [{{user: {user}, password: "{password}"{allowed}}}]\n'
    listed = "\n".join(lines)
    return f"  {name} {{\n{more}{users}    {kind}: [\n{listed}\n    ]\n  }}\n"


def _tls(tls: ServerTls) -> str:
    return (
        f'tls {{\n  cert_file: "{tls.certificate}"\n  key_file: "{tls.key}"\n  ca_file: "{tls.ca}"\n'
        f"  verify: {str(tls.verify).lower()}\n  timeout: 5\n}}\n"
    )
