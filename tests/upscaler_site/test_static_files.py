"""Static files as they are collected before a start."""

from pathlib import Path

from django.core.management import call_command
from pytest_django.fixtures import Settings


def test_files_are_packed_by_gzip_alone(settings: Settings, tmp_path: Path) -> None:
    """Brotli, which is here for JPEG XL, would take most of a minute of the first start."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "page.css").write_text("body { color: black; }\n" * 200)
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    call_command("collectstatic", interactive=False, verbosity=0)
    endings = {path.suffix for path in settings.STATIC_ROOT.iterdir()}
    assert ".gz" in endings
    assert ".br" not in endings
