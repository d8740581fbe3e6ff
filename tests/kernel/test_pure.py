"""Names, settings, paging bytes: small pieces that everything else leans on."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Invalid
from kernel.names import ID_PATTERN, Pattern, name_in, project_of, sort_key, subject_of
from kernel.settings import Settings, load
from kernel.wire import listing
from tests.kernel.toy import M

IDS = st.from_regex(ID_PATTERN, fullmatch=True)


@given(IDS, IDS, st.integers(1, 10**11))
def test_a_name_lives_on_one_subject_and_comes_back_from_it(project: str, model: str, number: int) -> None:
    versions = Pattern("projects/*/models/*/versions/#")
    name = f"projects/{project}/models/{model}/versions/{number}"
    versions.ids(name)
    subject = subject_of("registry", name)
    assert subject == f"lifecycle.registry.{project}.versions.{model}.{number}"
    assert name_in(versions, subject) == name
    assert project_of(name) == f"projects/{project}"


def test_a_project_lives_inside_itself() -> None:
    subject = subject_of("registry", "projects/risk")
    assert subject == "lifecycle.registry.risk.projects.risk"
    assert name_in(Pattern("projects/*"), subject) == "projects/risk"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "projects",
        "projects/P",
        "projects/a/models",
        "models/a/models/b/versions/1",
        "projects/a/models/b/versions/0",
        "projects/a/models/b/versions/01",
        "projects/a/models/b/versions/x",
        "projects/a/models/b.c/versions/1",
        "projects/a/models/*/versions/1",
        "projects/a/models/b/versions/1/x/y",
        f"projects/{'a' * 64}/models/b/versions/1",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        Pattern("projects/*/models/*/versions/#").ids(name)


@given(st.lists(st.integers(1, 10**11), unique=True))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"projects/p/models/m/versions/{number}" for number in numbers]
    assert sorted(names, key=sort_key) == [f"projects/p/models/m/versions/{number}" for number in sorted(numbers)]


@given(st.lists(st.text(max_size=200)), st.text(max_size=50))
def test_a_listing_is_what_protobuf_would_have_written(labels: list[str], token: str) -> None:
    toys = [M.Toy(label=label) for label in labels]
    written = listing([toy.SerializeToString() for toy in toys], token)
    assert M.ListToysResponse.FromString(written) == M.ListToysResponse(toys=toys, next_page_token=token)


@dataclass(frozen=True)
class Own(Settings):
    windows: int = 3


def test_settings_take_what_is_declared_and_nothing_else() -> None:
    needed = {"MODELOG_NATS_URL": "n", "MODELOG_POSTGRES_URL": "p"}
    assert load(Own, {**needed, "MODELOG_WINDOWS": "5", "PATH": "x"}).windows == 5
    for wrong, named in (
        ({"MODELOG_NATS_URL": "n"}, "MODELOG_POSTGRES_URL is missing"),
        ({**needed, "MODELOG_WINDWOS": "5"}, "MODELOG_WINDWOS is unknown"),
        ({**needed, "MODELOG_WINDOWS": "five"}, "MODELOG_WINDOWS"),
        ({**needed, "MODELOG_ROLES": "rpc,king"}, "king"),
        ({**needed, "MODELOG_REFLECTION": "yes"}, "neither true nor false"),
    ):
        with pytest.raises(SystemExit, match=named):
            load(Own, wrong)
