"""The address of a bucket, as the setting STORAGE gives it. Importing this imports neither boto3 nor models."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

FORM = "s3://BUCKET/PREFIX?endpoint=https://HOST"
_KNOWN = ("endpoint", "region", "sse", "kms_key", "addressing")


class NoAddress(ValueError):
    """The text is no address of a bucket; the message says why."""


@dataclass(frozen=True)
class Address:
    """A place in an S3-compatible object storage."""

    bucket: str
    prefix: str  # "" or with a slash at its end
    endpoint: str = ""  # "": Amazon's of the region
    region: str = ""  # "": what the environment says
    sse: str = ""  # "AES256", "aws:kms" or "": what the bucket does by itself
    kms_key: str = ""
    addressing: str = ""  # "path" or "virtual"; "": path where there is an endpoint

    def below(self, part: str) -> "Address":
        """Return the same bucket one level deeper."""
        return Address(
            self.bucket, f"{self.prefix}{part}/", self.endpoint, self.region, self.sse, self.kms_key, self.addressing
        )

    @property
    def encryption(self) -> dict[str, str]:
        """The parameters of a request that writes."""
        sse = self.sse or ("aws:kms" if self.kms_key else "")
        given = {"ServerSideEncryption": sse, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in given.items() if value}


def parsed(text: str) -> Address | None:
    """Return the address; None where none is given.

    :raises NoAddress: it has another form.
    """
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or parts.fragment:
        raise NoAddress(f"it must be like {FORM}, without credentials")
    try:
        given = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError as error:
        raise NoAddress(f"what follows the question mark is not NAME=VALUE&NAME=VALUE: {parts.query}") from error
    if unknown := set(given) - set(_KNOWN):
        raise NoAddress(f"it knows {', '.join(_KNOWN)}, not {', '.join(sorted(unknown))}")
    endpoint = given.get("endpoint", "")
    if endpoint and (urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).netloc):
        raise NoAddress(f"endpoint is {endpoint}; it must begin with https:// or http://")
    if given.get("sse", "") not in ("", "AES256", "aws:kms", "aws:kms:dsse"):
        raise NoAddress("sse must be AES256, aws:kms or aws:kms:dsse")
    if given.get("addressing", "") not in ("", "path", "virtual"):
        raise NoAddress("addressing must be path or virtual")
    prefix = parts.path.strip("/")
    return Address(parts.netloc, f"{prefix}/" if prefix else "", **given)
