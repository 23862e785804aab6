"""The web server's own refusals, before Django looks at a request. errors.py knows the statuses.

The refusal travels to Django in the environ (api/middleware.py answers it there), so that it is counted, logged and
given the headers that every response has.
"""

from jobs.auth.authentication import REALM

#: Key in the environ for the exception that decides the response.
REFUSAL = "upscaler.refusal"


class RequestRefused(Exception):
    """The root; the message is fit to be shown."""


class AddressTooLong(RequestRefused):
    """Path and query string together are beyond the limit that the message names."""


class HeaderTooLarge(RequestRefused):
    """All header fields together are beyond the limit that the message names."""


class FramingAmbiguous(RequestRefused):
    """The header says two things about where the body ends (RFC 9112, 6.1): a proxy in front may believe the other."""


class BodyTooLarge(RequestRefused):
    """The body has more bytes than one of its type may have."""


class BodyTooSlow(RequestRefused):
    """The body arrives below the least rate."""


class CredentialsMissing(RequestRefused):
    """A key is required, and the header of a large upload brings nothing that could be one."""

    headers = {"WWW-Authenticate": REALM}
