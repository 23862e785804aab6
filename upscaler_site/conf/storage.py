"""The setting STORAGE: an object storage for pictures, instead of a directory."""

import importlib.util

from django.core.exceptions import ImproperlyConfigured

from modelstore.stores.address import FORM, Address, NoAddress, parsed
from upscaler_site.conf import env


def address() -> Address | None:
    """Read STORAGE: the bucket, or None where it is unset.

    :raises ImproperlyConfigured: it has another form, or what a bucket needs is not installed.
    """
    text = env.text("STORAGE", help=f"Pictures in an object storage, {FORM} (docs/storage.md); unset: in FILES_DIR")
    try:
        found = parsed(text)
    except NoAddress as error:
        raise ImproperlyConfigured(f"STORAGE: {error}") from error
    if found is not None and importlib.util.find_spec("boto3") is None:
        raise ImproperlyConfigured("STORAGE is an object storage, which needs: pip install -r requirements-s3.txt")
    return found
