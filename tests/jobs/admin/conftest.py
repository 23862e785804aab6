"""Every page of the admin is tried without collectstatic."""

import pytest


@pytest.fixture(autouse=True)
def static_files_as_they_lie(plain_static_files: None) -> None:
    """No test needs to ask for them."""
