"""The setting STORAGE: what it may say, and what stops the start."""

import pytest

from modelstore.stores.address import Address, NoAddress, parsed


def test_a_bucket_a_prefix_and_parameters() -> None:
    assert parsed("") is None
    assert parsed("s3://pictures") == Address("pictures", "")
    found = parsed("s3://pictures/up/scaled/?endpoint=https://minio:9000&region=eu-west-1&kms_key=arn:aws:kms:a/b")
    assert found == Address(
        "pictures", "up/scaled/", endpoint="https://minio:9000", region="eu-west-1", kms_key="arn:aws:kms:a/b"
    )
    assert found.encryption == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:a/b"}
    assert found.below("models").prefix == "up/scaled/models/"
    assert Address("b", "").encryption == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://pictures", "it must be like s3://"),
        ("s3://", "it must be like"),
        ("s3://key:secret@pictures", "without credentials"),
        ("s3://pictures?endpoint", "NAME=VALUE"),
        ("s3://pictures?endpont=http://x", "not endpont"),
        ("s3://pictures?endpoint=minio:9000", "https://"),
        ("s3://pictures?sse=des", "AES256"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(NoAddress, match=why):
        parsed(text)
