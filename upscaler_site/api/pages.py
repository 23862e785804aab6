"""The API's description: as OpenAPI 3.1 in JSON, and as pages for people. Everything comes from local files.

The pages' own scripts are files (no inline script), but both viewers write style elements, and Redoc searches in a
worker that it makes from a blob.
"""

from functools import cache
from pathlib import Path

from csp.constants import SELF
from csp.decorators import csp_update
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

_STYLES = {"style-src": [SELF, "'unsafe-inline'"]}

#: Making it takes a fraction of a second; it changes only with the program.
schema = gzip_page(cache_page(3600)(SpectacularJSONAPIView.as_view()))
swagger = csp_update(_STYLES)(SpectacularSwaggerSplitView.as_view(url_name="schema"))
redoc = csp_update(_STYLES | {"worker-src": ["blob:"]})(SpectacularRedocView.as_view(url_name="schema"))

_REDOC = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
_FOREIGN_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"


@require_safe
@gzip_page
@cache_control(max_age=3600)
def redoc_script(_request: HttpRequest) -> HttpResponse:
    """Answer Redoc's program, with our icon in place of the one that it would ask a foreign host for."""
    return HttpResponse(_redoc_script(), content_type="text/javascript")


@cache
def _redoc_script() -> str:
    found = finders.find(_REDOC)
    return Path(str(found)).read_text(encoding="utf-8").replace(_FOREIGN_LOGO, static("page/icon.svg"))
