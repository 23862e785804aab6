"""A directory in which the embedded Postgres of one test lives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.upscaler_site.postgres.embedded import processes_of


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "data"
    directory.mkdir()
    yield directory
    eventually(lambda: not processes_of(directory), say="the end of the embedded Postgres")
