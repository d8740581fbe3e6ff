"""What a tracking server answers, as far as it is brought over: read with care, for it comes from elsewhere. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# MLflow says `None` in words where a version is in no stage.
_NO_STAGE = "None"
READY = "READY"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """aliases: the version's number by alias."""

    name: str
    created: datetime | None
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """user: who registered it, often empty. source: an address that only MLflow understands."""

    model: str
    number: int
    created: datetime | None
    description: str
    stage: str
    status: str
    user: str
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def id(self) -> str:
        """As people say it at the tracking server, and as the origin keeps it."""
        return f"{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Metric:
    """The newest value of a run's metric."""

    name: str
    value: float
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Input:
    """A data set that a run was given. digest: MLflow's own short one. context: for example `training`."""

    name: str
    digest: str
    source_type: str
    source: str
    context: str


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a version came from."""

    id: str
    user: str
    params: Mapping[str, str]
    metrics: Sequence[Metric]
    tags: Mapping[str, str]
    inputs: Sequence[Input]


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a folder of artifacts; path: below the folder that was asked for."""

    path: str
    folder: bool
    size_bytes: int


NO_RUN = Run("", "", {}, (), {}, ())


def model_of(said: Any) -> RegisteredModel:
    aliases = {_text(one.get("alias")): _number(one.get("version")) for one in _list(said.get("aliases"))}
    return RegisteredModel(
        _text(said.get("name")), moment(said.get("creation_timestamp")), _text(said.get("description")),
        _pairs(said.get("tags")), aliases,
    )  # fmt: skip


def version_of(said: Any) -> ModelVersion:
    stage = _text(said.get("current_stage"))
    return ModelVersion(
        model=_text(said.get("name")),
        number=_number(said.get("version")),
        created=moment(said.get("creation_timestamp")),
        description=_text(said.get("description")),
        stage="" if stage == _NO_STAGE else stage,
        status=_text(said.get("status")) or READY,
        user=_text(said.get("user_id")),
        run_id=_text(said.get("run_id")),
        source=_text(said.get("source")),
        tags=_pairs(said.get("tags")),
    )


def run_of(said: Any) -> Run:
    info, data = said.get("info") or {}, said.get("data") or {}
    tags = _pairs(data.get("tags"))
    metrics = [
        Metric(_text(one.get("key")), float(one.get("value", "nan")), moment(one.get("timestamp")))
        for one in _list(data.get("metrics"))
    ]
    inputs = [_input_of(one) for one in _list((said.get("inputs") or {}).get("dataset_inputs"))]
    user = tags.get("mlflow.user") or _text(info.get("user_id"))
    return Run(_text(info.get("run_id")), user, _pairs(data.get("params")), metrics, tags, inputs)


def _input_of(said: Any) -> Input:
    dataset = said.get("dataset") or {}
    return Input(
        name=_text(dataset.get("name")),
        digest=_text(dataset.get("digest")),
        source_type=_text(dataset.get("source_type")),
        source=_text(dataset.get("source")),
        context=_pairs(said.get("tags")).get("mlflow.data.context", ""),
    )


def file_of(said: Any) -> File:
    return File(_text(said.get("path")), bool(said.get("is_dir")), _number(said.get("file_size")))


def moment(milliseconds: Any) -> datetime | None:
    """None for what is not said, or no time from 1970 on."""
    try:
        value = int(milliseconds or 0)
        return datetime.fromtimestamp(value / 1000, UTC) if value > 0 else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> int:
    """Of a version, 1 and above; MLflow writes numbers as text now and then."""
    return int(value) if value is not None and str(value).isdecimal() else 0


def _list(value: Any) -> list[Any]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _pairs(value: Any) -> dict[str, str]:
    return {_text(one.get("key")): _text(one.get("value")) for one in _list(value) if one.get("key")}
