"""``upscaler keys``: API keys made, listed, limited, revoked."""

import argparse
from datetime import datetime
from typing import TYPE_CHECKING

from jobs.cli import limits
from upscaler_site.cli import manage, words

if TYPE_CHECKING:
    from jobs.models.api_key import ApiKey

_EXAMPLES = """\
examples:
  upscaler keys create "photo archive" --days 365
  upscaler keys create ops --scope upscale --scope manage --quiet > key.txt
  upscaler keys limit k3x9d2ab --share 2 --max-queued-jobs 500 --max-stored-gb 20
  upscaler keys revoke k3x9d2ab

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the deeds, each with its own arguments."""
    parser.epilog = _EXAMPLES + words.EXIT_CODES
    below = parser.add_subparsers(dest="deed", metavar="DEED", required=True)
    manage.borrow(below.add_parser("create", help="make one and show it once"), "create_api_key")
    below.add_parser("list", help="who has one; the keys themselves are not kept").set_defaults(run=_list)
    limiting = below.add_parser("limit", help="change its share of the queue and its limits")
    limiting.add_argument("prefix", metavar="PREFIX", help="the eight characters after ups_, as `keys list` shows them")
    limits.add_arguments(limiting)
    limiting.set_defaults(run=_limit)
    revoking = below.add_parser("revoke", help="make one void for good")
    revoking.add_argument("prefix", metavar="PREFIX", help="the eight characters after ups_, as `keys list` shows them")
    revoking.set_defaults(run=_revoke)


def _list(_options: argparse.Namespace) -> int:
    with manage.database("keys"):
        from jobs.auth.api_keys import is_valid  # noqa: PLC0415 - Django's tables, once they are there
        from jobs.models.api_key import ApiKey  # noqa: PLC0415 - as above

        for key in ApiKey.objects.all():
            state = "valid" if is_valid(key) else "revoked" if key.revoked_at else "expired"
            used, ends = _day(key.last_used_at, "never"), _day(key.expires_at, "never")
            words.say(f"{key.prefix}  {state:7}  used {used:10}  expires {ends:10}  {','.join(key.scopes)}  {key.name}")
    return 0


def _day(when: datetime | None, without: str) -> str:
    return f"{when:%Y-%m-%d}" if when else without


def _limit(options: argparse.Namespace) -> int:
    values = limits.values_of(vars(options))
    with manage.database("keys"):
        from django.core.exceptions import ValidationError  # noqa: PLC0415 - Django's tables, once they are there

        from jobs.auth.api_keys import change  # noqa: PLC0415 - as above

        key = _found(options.prefix)
        if key is None:
            return 1
        try:
            change(key, **values)
        except ValidationError as error:
            words.complain(f"Error: {'; '.join(error.messages)}")
            return 2
    words.say(f"{key.name} ({key.prefix}): {limits.shown(key)}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    with manage.database("keys"):
        from audit import log  # noqa: PLC0415 - Django's tables, once they are there
        from jobs.auth.api_keys import revoke  # noqa: PLC0415 - as above

        key = _found(options.prefix)
        if key is None:
            return 1
        with log.command("upscaler keys revoke"):
            changed = revoke([key])
    words.say(f"{key.name} ({key.prefix}): {'revoked' if changed else 'was revoked already'}")
    return 0


def _found(given: str) -> "ApiKey | None":
    """Return the key with this prefix, or complain."""
    from jobs.models.api_key import ApiKey  # noqa: PLC0415 - Django's tables, once they are there

    prefix = given.removeprefix("ups_").partition("_")[0]
    key = ApiKey.objects.filter(prefix=prefix).first()
    if key is None:
        near = words.suggestion(prefix, ApiKey.objects.values_list("prefix", flat=True))
        words.complain(f"Error: No key begins with ups_{prefix}.{near} `upscaler keys list` shows them")
    return key
