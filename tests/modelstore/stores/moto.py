"""Moto's server of an object storage with a proxy before it, as fixtures to import."""

import uuid
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from modelstore.stores.address import Address
from tests.modelstore.stores.conftest import client_for
from tests.modelstore.stores.servers import KEY, SECRET, S3Server, be_patient
from tests.modelstore.stores.weather import Weather


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Moto's server, running."""
    found = S3Server("moto", tmp_path_factory.mktemp("moto"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def weather(server: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    """A new bucket behind a proxy, which the settings name."""
    found = Weather(server.port)
    bucket = f"test-{uuid.uuid4().hex[:8]}"
    client_for(server.url).create_bucket(Bucket=bucket)
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = KEY, SECRET
    settings.STORAGE_ADDRESS = Address(bucket, "", endpoint=found.url, region="us-east-1")
    be_patient(settings, monkeypatch)
    yield found
    found.close()
