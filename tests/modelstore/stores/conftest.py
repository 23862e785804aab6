"""An object storage for the tests of this folder: each kind of server there is, started once."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from pytest_django.fixtures import Settings

from modelstore.stores.address import Address
from modelstore.stores.bucket import Bucket
from tests.modelstore.stores.servers import KEY, SECRET, S3Server, be_patient, s3rver
from tests.modelstore.stores.weather import Weather

MakeBucket = Callable[..., Bucket]


@pytest.fixture(scope="session", params=["moto", "s3rver"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server of other people; s3rver where npm installed one."""
    if request.param == "s3rver" and s3rver() is None:
        pytest.skip("npm's s3rver is not installed (npm install s3rver; S3RVER=PATH)")
    found = S3Server(request.param, tmp_path_factory.mktemp(request.param))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def bucket_name(server: S3Server) -> str:
    """A new bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    client_for(server.url).create_bucket(Bucket=name)
    return name


@pytest.fixture
def weather(server: S3Server) -> Iterator[Weather]:
    """A proxy before the server."""
    found = Weather(server.port)
    yield found
    found.close()


@pytest.fixture
def make_bucket(
    server: S3Server, bucket_name: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> MakeBucket:
    """Make stores on the new bucket: by another address, or of another service, if wished."""
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = KEY, SECRET
    be_patient(settings, monkeypatch)
    settings.MIN_FREE_DISK_MB = 0

    def make(*, url: str = "", bucket: str = bucket_name, prefix: str = "here/", owner: str = "me") -> Bucket:
        address = Address(bucket, prefix, endpoint=url or server.url, region="us-east-1")
        return Bucket(address, tmp_path / f"scratch-{owner}", lambda: owner)

    return make


def client_for(url: str) -> "boto3.client":
    """A client of the test's own."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
