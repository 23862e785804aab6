"""Django's WSGI handler, for requests as clients really send them."""

import io
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

from upscaler_site.web.multipart import TolerantMultipart


class Request(WSGIRequest):
    """A request whose text is UTF-8, whatever the caller's Content-Type says, and whose forms are read tolerantly.

    Django believes any charset that Python knows. "charset=base64" is one of these, and then even reading the query
    string raises LookupError: before the first middleware, so that the web server itself answers 500. And it knows
    content types in small letters only (RFC 9110, 8.3.1: they have no case).
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        kind, semicolon, parameters = environ.get("CONTENT_TYPE", "").partition(";")
        environ["CONTENT_TYPE"] = kind.strip().lower() + semicolon + parameters
        super().__init__(environ)
        boundary = self.content_params.get("boundary", "") if self.content_params else ""
        if kind.strip().lower() == "multipart/form-data" and boundary and boundary.isascii():
            self._stream = io.BufferedReader(TolerantMultipart(self._stream, boundary.encode()))

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    """The handler of that request."""

    request_class = Request
