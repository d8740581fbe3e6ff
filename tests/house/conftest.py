"""What the house tests share: the protos, compiled once."""

import pytest

from tests.house.image import Image, compile_protos
from tests.house.tree import ROOT


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All protos as they are in the tree now."""
    return Image(compile_protos(ROOT / "protos", tmp_path_factory.mktemp("protos") / "image.binpb"))
