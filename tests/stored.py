"""Where the store of the tests, a directory, has a file: for tests that look at it or break it behind its back."""

from pathlib import Path


def path_of(name: str) -> Path:
    """The path of a storage name."""
    from django.conf import settings

    return Path(settings.MEDIA_ROOT) / name
