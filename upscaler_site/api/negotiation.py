"""Content negotiation of every API view: JSON in and out, with its sharp edges taken off."""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request


class FirstRenderer(BaseContentNegotiation):
    """Always the first renderer.

    ``Accept: image/png`` on a call that answers a picture must not become 406 because errors are JSON, nor may a query
    parameter ``format=png`` choose a renderer.
    """

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the first parser that reads the request's content type."""
        content_type = request.content_type or ""
        for parser in parsers:
            wanted = (parser.media_type or "").split("/")
            given = content_type.split(";")[0].strip().lower().split("/")
            if len(given) == 2 and all(w in ("*", g) for w, g in zip(wanted, given, strict=False)):
                return parser
        return None

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 - the base's signature
        renderers: Iterable[Any],
        format_suffix: str | None = None,  # noqa: ARG002 - as above
    ) -> tuple[Any, str]:
        """Return the first renderer and its media type."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class StrictJSONParser(JSONParser):
    """DRF's parser, where ``[[[[…`` is a malformed request instead of a RecursionError."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the parsed value."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
