"""Brings a tracking server's models over. What is here already is left as it is, so it may run as often as one likes.

A model is known by its origin and so is a version: what was brought over before is not read from the artifact store
again. Numbers follow the tracking server's order; where it deleted a version there is a gap there and none here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from modelog.mlflow import mapping
from modelog.mlflow.artifacts import fetch
from modelog.mlflow.mapping import EVALUATION, SYSTEM, Rules
from modelog.mlflow.records import NO_RUN, READY, ModelVersion, RegisteredModel, Run
from modelog.mlflow.report import IMPORTED, SKIPPED, THERE, WOULD, Line, Report
from modelog.mlflow.server import MlflowError, Server
from modelog.mlflow.words import id_of, request_id
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import Model, Version
from modelog.sdk.errors import AlreadyExists, Refused, TooLate, Unavailable
from modelog.sdk.paging import pages

if TYPE_CHECKING:
    from modelog.sdk.sync_client import SyncClient

# How many versions are read from the tracking server at once, and registered in one call.
_AT_ONCE = 8
_BATCH = 64
Told = Callable[[str, int, int], None]
Fetched = tuple[ModelVersion, Run, rpc.RegisterVersionRequest | None, Line | None]


@dataclass(frozen=True)
class Options:
    """patterns: of model names, any when empty. renames: ids by MLflow's name. update: move aliases and tags that are
    otherwise here than there. dry_run: only say what would be brought over."""

    patterns: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    update: bool = False
    dry_run: bool = False


class Import:
    """One run. told: hears the model's name, how many of its versions are done, and how many there are."""

    def __init__(
        self, client: "SyncClient", server: Server, rules: Rules, options: Options, told: Told = lambda *_: None
    ) -> None:
        self._client = client
        self._server = server
        self._rules = rules
        self._options = options
        self._told = told
        self._ids: dict[str, str] = {}
        self.report = Report(rules.server, rules.parent)

    def run(self) -> Report:
        """MlflowError when the tracking server cannot list its models, Refused when a service cannot be reached; what
        concerns one thing alone is in the report."""
        self._client.catch_up("registry")
        request = rpc.ListModelsRequest(parent=self._rules.parent)
        here: dict[str, Model] = {one.name: one for one in pages(self._client.registry.ListModels, request)}
        for model in list(self._server.models()):
            patterns = self._options.patterns
            if not patterns or any(fnmatchcase(model.name, one) for one in patterns):
                self._bring(model, here)
        return self.report

    def _bring(self, model: RegisteredModel, here: Mapping[str, Model]) -> None:
        model_id = self._options.renames.get(model.name) or id_of(model.name)
        name = f"{self._rules.parent}/models/{model_id}"
        other = self._ids.setdefault(model_id, model.name)
        if other != model.name:
            message = f"{other!r} is {model_id} already; --rename says under which other id it shall come"
            return self._skipped("model", model.name, name, "ID_COLLISION", message)
        known = here.get(name)
        if known is not None and not self._is(known, model.name):
            message = f"{name} is another model; --rename says under which other id it shall come"
            return self._skipped("model", model.name, name, "NAME_TAKEN", message)
        if known is None and not self._create(model, model_id, name):
            return None
        if known is not None:
            self.report.add(Line("model", model.name, THERE, name))
            self._tags(name, model.name, mapping.tags_of(model.tags, {}, []), known.tags)
        try:
            versions = self._server.versions(model.name)
        except MlflowError as error:
            return self._skipped("version", f"{model.name}/*", name, error.reason, str(error))
        return self._versions(model, name, known, versions)

    def _is(self, here: Any, id_: str) -> bool:
        """Whether a resource is what this tracking server calls so."""
        return (here.origin.system, here.origin.uri, here.origin.id) == (SYSTEM, self._rules.server, id_)

    def _create(self, model: RegisteredModel, model_id: str, name: str) -> bool:
        """Whether there is a model to bring versions to now, as far as a dry run goes."""
        if self._options.dry_run:
            self.report.add(Line("model", model.name, WOULD, name))
            return True
        request = mapping.model_request(self._rules, model, model_id)
        return self._write("model", model.name, name, self._client.registry.CreateModel, request)

    def _versions(
        self, model: RegisteredModel, name: str, known: Model | None, versions: Sequence[ModelVersion]
    ) -> None:
        here = self._known_versions(name) if known is not None else {}
        numbers: dict[int, str] = {}
        new: list[ModelVersion] = []
        done = 0
        for version in versions:
            found = here.get(version.id)
            if found is None:
                new.append(version)
                continue
            numbers[version.number] = found.name
            self.report.add(Line("version", version.id, THERE, found.name))
            self._evaluate(version, found.name, None, EVALUATION in found.evaluations)
            self._tags(found.name, version.id, mapping.version_tags(version, []), found.tags)
            done += 1
            self._told(model.name, done, len(versions))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            numbers |= self._register(name, batch)
            done += len(batch)
            self._told(model.name, done, len(versions))
        self._aliases(model, name, known, numbers)

    def _known_versions(self, name: str) -> dict[str, Version]:
        """Versions here by what this tracking server calls them."""
        request = rpc.ListVersionsRequest(parent=name)
        found = pages(self._client.registry.ListVersions, request)
        return {one.origin.id: one for one in found if self._is(one, one.origin.id)}

    def _register(self, name: str, batch: Sequence[ModelVersion]) -> dict[int, str]:
        """Registers versions in their order, then records their measurements; names by MLflow's number."""
        if self._options.dry_run:
            for version in batch:
                self.report.add(Line("version", version.id, WOULD))
            return {}
        notes: dict[str, tuple[str, ...]] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            fetched = list(pool.map(lambda one: self._fetched(name, one, notes), batch))
        for line in (line for *_, line in fetched if line is not None):
            self.report.add(line)
        ready = [(version, run, request) for version, run, request, _ in fetched if request is not None]
        named: dict[int, str] = {}
        answers = self._client.register_versions([request for *_, request in ready])
        for (version, _, _), answer in zip(ready, answers, strict=True):
            found = answer.name or _reused(answer.refusal)
            if answer.refusal is None:
                self.report.add(Line("version", version.id, IMPORTED, answer.name, notes=notes[version.id]))
            elif found:
                self.report.add(Line("version", version.id, THERE, found))
            else:
                self._refused("version", version.id, name, answer.refusal)
            if found:
                named[version.number] = found
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            evaluated = [(version, run) for version, run, _ in ready if version.number in named]
            list(pool.map(lambda one: self._evaluate(one[0], named[one[0].number], one[1], False), evaluated))
        return named

    def _fetched(self, name: str, version: ModelVersion, notes: dict[str, tuple[str, ...]]) -> Fetched:
        """What registers a version, or the line that says why it cannot be."""
        found: list[str] = []
        try:
            if version.status != READY:
                raise MlflowError("NOT_READY", f"{version.id} is {version.status} at the tracking server")
            run = self._run(version, found)
            artifact = fetch(self._server, self._server.artifact_uri(version))
        except MlflowError as error:
            return version, NO_RUN, None, Line("version", version.id, SKIPPED, name, error.reason, str(error))
        request = mapping.version_request(self._rules, name, version, run, artifact, found)
        notes[version.id] = tuple(found)
        return version, run, request, None

    def _run(self, version: ModelVersion, notes: list[str]) -> Run:
        """The run it came from; a version outlives its run, and comes without what only the run knew."""
        if not version.run_id:
            return NO_RUN
        try:
            return self._server.run(version.run_id)
        except MlflowError as error:
            if error.reason != "RESOURCE_DOES_NOT_EXIST":
                raise
            notes.append(f"its run {version.run_id} is gone, and with it parameters, metrics and code")
            return NO_RUN

    def _evaluate(self, version: ModelVersion, name: str, run: Run | None, there: bool) -> None:
        """Records what the run measured, unless that is here. run: of a version that is here it is read only now."""
        if there:
            return self.report.add(Line("evaluation", version.id, THERE, name))
        notes: list[str] = []
        try:
            run = self._run(version, notes) if run is None else run
        except MlflowError as error:
            return self._skipped("evaluation", version.id, name, error.reason, str(error))
        request = mapping.evaluation_request(self._rules, name, run, notes)
        if request is not None:
            record = self._client.registry.RecordEvaluation
            self._write("evaluation", version.id, name, record, request, tuple(notes))
        return None

    def _aliases(self, model: RegisteredModel, name: str, known: Model | None, numbers: Mapping[int, str]) -> None:
        """Points aliases to what they point to there; one that points elsewhere here is moved only by `update`."""
        taken: set[str] = set()
        for said, number in sorted(model.aliases.items()):
            alias, source = id_of(said), f"{model.name}@{said}"
            target = numbers.get(number, "")
            now = known.aliases[alias].version if known is not None and alias in known.aliases else ""
            if alias in taken:
                self._skipped("alias", source, name, "ID_COLLISION", f"another alias is {alias} already")
            elif target and now == target:
                self.report.add(Line("alias", source, THERE, target))
            elif not target and not self._options.dry_run:
                self._skipped("alias", source, name, "VERSION_NOT_HERE", f"version {number} was not brought over")
            elif now and not self._options.update:
                message = f"here it points to {now}; --update moves it to {target}"
                self._skipped("alias", source, name, "ALIAS_DIFFERS", message)
            else:
                request = rpc.AssignAliasRequest(name=name, alias=alias, version=target, reason=self._rules.reason)
                request.request_id = request_id(self._rules.server, "alias", name, alias, target, _seen(known))
                self._write("alias", source, target or name, self._client.registry.AssignAlias, request)
            taken.add(alias)

    def _tags(self, name: str, source: str, there: Mapping[str, str], here: Mapping[str, str]) -> None:
        """With `update`, tags that are otherwise there; those that are only here stay."""
        changed = {key: value for key, value in there.items() if here.get(key) != value}
        for key, value in changed.items() if self._options.update else ():
            request = rpc.SetTagRequest(name=name, key=key, value=value, reason=self._rules.reason)
            self._write("tag", f"{source} {key}", name, self._client.registry.SetTag, request)

    def _write(self, kind: str, source: str, name: str, method: Any, request: Any, notes: tuple[str, ...] = ()) -> bool:
        """Sends a write and reports it; False when it was refused. What cannot be reached ends the import."""
        if self._options.dry_run:
            self.report.add(Line(kind, source, WOULD, name, notes=notes))
            return True
        try:
            method(request)
        except (Unavailable, TooLate):
            raise
        except Refused as error:
            self._refused(kind, source, name, error)
            return False
        self.report.add(Line(kind, source, IMPORTED, name, notes=notes))
        return True

    def _refused(self, kind: str, source: str, name: str, error: Refused) -> None:
        wrong = "; ".join(f"{one.field}: {one.description}" for one in error.violations)
        self._skipped(kind, source, name, error.reason, wrong or error.message)

    def _skipped(self, kind: str, source: str, name: str, reason: str, message: str) -> None:
        self.report.add(Line(kind, source, SKIPPED, name, reason, message))


def _seen(known: Model | None) -> str:
    """The state that a change was decided on, so that the same change may be made again later."""
    return str(known.generation if known is not None else 0)


def _reused(refusal: Refused | None) -> str:
    """The version that another import made of the same, while this one read its artifact."""
    return refusal.metadata.get("resource", "") if isinstance(refusal, AlreadyExists) else ""


def models_of(report: Report) -> Iterator[str]:
    """Names here of the models that were looked at."""
    return (line.name for line in report.lines if line.kind == "model" and line.name)
