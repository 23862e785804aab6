"""The API's description: as OpenAPI 3.1 in JSON, and as pages for people. Everything comes from local files.

The pages' own scripts are files (no inline script), but both viewers write style elements, and Redoc searches in a
worker that it makes from a blob.
"""

from csp.constants import SELF
from csp.decorators import csp_update
from django.views.decorators.cache import cache_page
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

_STYLES = {"style-src": [SELF, "'unsafe-inline'"]}

#: Making it takes a fraction of a second; it changes only with the program.
schema = cache_page(3600)(SpectacularJSONAPIView.as_view())
swagger = csp_update(_STYLES)(SpectacularSwaggerSplitView.as_view(url_name="schema"))
redoc = csp_update(_STYLES | {"worker-src": ["blob:"]})(SpectacularRedocView.as_view(url_name="schema"))
