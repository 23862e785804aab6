"""Static files named by their content, so that browsers may cache them for ever and an upgrade is seen at once."""

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise's base is untyped
    """Also renames what JavaScript modules import: without it a new app.js would run beside a cached old card.js."""

    support_js_module_import_aggregation = True

    def create_compressor(self, **options: Any) -> Compressor:
        """Return one without Brotli, which whitenoise would use because JPEG XL's metadata need the package.

        Its highest level took 45 s of a processor at the first start, for a sixth fewer bytes than gzip of files that a
        browser asks for once.
        """
        return Compressor(use_brotli=False, **options)
