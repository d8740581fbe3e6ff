"""What a baseline may be: profiles that add up, under a digest."""

import itertools
from collections.abc import Iterable
from typing import Any

from kernel.errors import invalid_field
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.forest import is_sound_forest
from services.monitoring.losses import is_sound_model
from services.monitoring.profile import OFFSET_UNITS
from services.monitoring.samples import is_sound_sample
from services.monitoring.scoring import PARTS
from services.monitoring.sketches import is_sound


def baseline_of(profiles: types.ProfileSet, *, digest: str, description: str) -> types.Baseline:
    """What a monitor records of a baseline; Invalid naming the column that cannot be compared with."""
    if not profiles.columns:
        raise invalid_field("profiles", "there are no columns", "NO_COLUMNS")
    seen: list[tuple[int, str]] = []
    for index, profile in enumerate(profiles.columns):
        key = (profile.role, profile.name)
        wrong = _wrong(profile, profiles.rows)
        if seen and key <= seen[-1]:
            wrong = "columns ascend by role and name, each once"
        if wrong:
            raise invalid_field(f"profiles.columns[{index}]", f"{profile.name}: {wrong}", "PROFILE")
        seen.append(key)
    if not _counts_scores(profiles.performance.scores):
        raise invalid_field("profiles.performance", "parts of scores ascend, and each holds some", "PROFILE")
    if not is_sound_model(profiles.loss_model):
        raise invalid_field("profiles.loss_model", "its trees do not fit its features", "PROFILE")
    if not is_sound_forest(profiles.forest):
        raise invalid_field("profiles.forest", "its trees do not fit its features", "PROFILE")
    if not is_sound_sample(profiles.sample):
        raise invalid_field("profiles.sample", "hashes ascend, and every column has a value for each", "PROFILE")
    columns = [
        types.BaselineColumn(name=one.name, role=one.role, categorical=one.WhichOneof("values") == "categories")
        for one in profiles.columns
    ]
    return types.Baseline(digest=digest, rows=profiles.rows, description=description, columns=columns)


def _wrong(profile: types.Profile, rows: int) -> str:
    values = profile.rows - profile.missing - profile.invalid
    if profile.role == types.COLUMN_ROLE_UNSPECIFIED or not profile.name or "\0" in profile.name:
        return "a column needs a role and a name"
    if profile.rows != rows:
        return f"{profile.rows} rows where the others have {rows}"
    if values <= 0:
        return "nothing but missing values"
    if profile.HasField("distinct") and not is_sound(profile.distinct):
        return "the registers of distinct values are not as they are written here"
    if profile.WhichOneof("values") == "categories":
        return _wrong_categories(profile.categories, values)
    return _wrong_numbers(profile.numbers, values)


def _wrong_numbers(numbers: types.NumberProfile, values: int) -> str:
    if len(numbers.edges) < 2 or len(numbers.counts) != len(numbers.edges) - 1:
        return "numbers need edges, and one count between each two"
    if not _ascends(numbers.edges):
        return "edges ascend"
    if numbers.below + numbers.above + sum(numbers.counts) != values or numbers.count != values:
        return f"the counts do not add up to {values} values"
    if len(numbers.offsets) not in (0, len(numbers.counts)):
        return "offsets need one sum for each count, or are left out"
    if any(not 0 <= one <= count * OFFSET_UNITS for one, count in zip(numbers.offsets, numbers.counts, strict=False)):
        return "an offset leaves its part"
    return ""


def _wrong_categories(categories: types.CategoryProfile, values: int) -> str:
    if not _ascends(one.value for one in categories.categories):
        return "categories ascend by code point, each once"
    if sum(one.count for one in categories.categories) + categories.other + categories.unseen != values:
        return f"the counts do not add up to {values} values"
    return ""


def _counts_scores(scores: types.Scores) -> bool:
    parts = [one.part for one in scores.counts]
    inside = all(0 <= part < PARTS for part in parts)
    counted = all(min(one.positives, one.negatives) >= 0 < one.positives + one.negatives for one in scores.counts)
    return inside and counted and _ascends(parts)


def _ascends(values: Iterable[Any]) -> bool:
    return all(one < other for one, other in itertools.pairwise(values))
