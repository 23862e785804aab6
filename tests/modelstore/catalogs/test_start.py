"""A start with a models.toml that is wrong."""

from pathlib import Path

from tests.modelstore.catalogs.listing import entry, written
from tests.service import StartService


def test_a_start_with_a_wrong_catalogue_ends_and_says_why(start_service: StartService, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "models.toml").write_bytes(written(entry(licens="MIT", licence=None)))
    service = start_service(wait=False, data_dir=data)
    assert service.process is not None
    assert service.process.wait(timeout=240) == 1
    said = service.output()
    assert f'Error: MODEL_CATALOG is wrong. {data}/models.toml: Entry 1 ("4x-test"): "licens" is no key' in said
    assert 'did you mean "licence"?' in said
    assert "Traceback" not in said
