"""The id of the request that is being answered. Apart, because logging needs it before any part of Django is there."""

from contextvars import ContextVar

#: "" outside of a request.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
