"""``upscaler keys``: API keys made, listed, revoked."""

import argparse
from datetime import datetime

from upscaler_site.cli import manage, words

_EXAMPLES = """\
examples:
  upscaler keys create "photo archive" --days 365
  upscaler keys create ops --scope upscale --scope manage --quiet > key.txt
  upscaler keys revoke k3x9d2ab

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the deeds, each with its own arguments."""
    parser.epilog = _EXAMPLES + words.EXIT_CODES
    below = parser.add_subparsers(dest="deed", metavar="DEED", required=True)
    manage.borrow(below.add_parser("create", help="make one and show it once"), "create_api_key")
    below.add_parser("list", help="who has one; the keys themselves are not kept").set_defaults(run=_list)
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


def _revoke(options: argparse.Namespace) -> int:
    prefix = options.prefix.removeprefix("ups_").partition("_")[0]
    with manage.database("keys"):
        from jobs.auth.api_keys import revoke  # noqa: PLC0415 - Django's tables, once they are there
        from jobs.models.api_key import ApiKey  # noqa: PLC0415 - as above

        keys = list(ApiKey.objects.filter(prefix=prefix))
        if not keys:
            near = words.suggestion(prefix, ApiKey.objects.values_list("prefix", flat=True))
            words.complain(f"Error: No key begins with ups_{prefix}.{near} `upscaler keys list` shows them")
            return 1
        changed = revoke(keys)
    words.say(f"{keys[0].name} ({prefix}): {'revoked' if changed else 'was revoked already'}")
    return 0
