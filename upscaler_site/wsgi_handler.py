"""Django's WSGI handler, hardened against one header."""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters


class Request(WSGIRequest):
    """A request whose text is UTF-8, whatever the caller's Content-Type says.

    Django believes any charset that Python knows. "charset=base64" is one of these, and then even reading the query
    string raises LookupError: before the first middleware, so that the web server itself answers 500.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    """The handler of that request."""

    request_class = Request
