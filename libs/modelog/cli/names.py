"""Names of resources as people type them: `risk/fraud/3` for `projects/risk/models/fraud/versions/3`."""

from typing import Any

import click

from modelog.cli.values import ParamType

PATTERNS = {
    "project": "projects/*",
    "model": "projects/*/models/*",
    "version": "projects/*/models/*/versions/*",
    "thread": "projects/*/models/*/threads/*",
    "webhook": "projects/*/webhooks/*",
    "environment": "projects/*/environments/*",
    "endpoint": "projects/*/endpoints/*",
    "rollout": "projects/*/endpoints/*/rollouts/*",
    "monitor": "projects/*/monitors/*",
    "alert": "projects/*/monitors/*/alerts/*",
    "silence": "projects/*/silences/*",
    "retraining": "projects/*/monitors/*/retrainings/*",
    "retirement": "projects/*/monitors/*/retirements/*",
    "record": "projects/*/records/*",
    "hold": "projects/*/holds/*",
    "retention": "projects/*/retentions/*",
    "subscription": "projects/*/subscriptions/*",
    "erasure": "projects/*/erasures/*",
}


class Name(ParamType):
    """A resource of a kind; a full name is taken as it is, for the service to judge."""

    def __init__(self, kind: str) -> None:
        self.name = kind
        self._pattern = PATTERNS[kind]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text or text.startswith("projects/"):
            return text
        ids = text.split("/")
        if len(ids) != self._pattern.count("*"):
            example = self._pattern
            for one in ("risk", "fraud", "3"):
                example = example.replace("*", one, 1)
            short = "/".join(["risk", "fraud", "3"][: self._pattern.count("*")])
            self.fail(f"{text!r} names no {self.name}; write {example} or {short}", param, ctx)
        name = self._pattern
        for one in ids:
            name = name.replace("*", one, 1)
        return name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name.upper()
