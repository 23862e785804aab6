"""Static files named by their content, so that browsers may cache them for ever and an upgrade is seen at once."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise's base is untyped
    """Also renames what JavaScript modules import: without it a new app.js would run beside a cached old card.js."""

    support_js_module_import_aggregation = True
