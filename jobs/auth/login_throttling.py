"""Log-ins of staff, slowed down by address and by account, so that passwords cannot be guessed by trying.

Counted in the database for all web processes, as the API's rate limits are. Attempts are counted before the password is
looked at: of many at once no more get through than of one after the other. A right password gives its attempt back.
"""

import hashlib
import logging
import math
from dataclasses import dataclass

from django.http import HttpRequest

from jobs.auth.client_ip import client_address
from jobs.models.rate_limit import RateBucket

logger = logging.getLogger(__name__)

#: A bucket refills evenly: after the first one is used up, a try is allowed every minute.
PERIOD_SECONDS = 300
#: Attempts of one account from one address: enough for a user who mistypes.
PER_ACCOUNT_AND_ADDRESS = 5
#: Attempts from one address, whatever the account: enough for an office behind one address.
PER_ADDRESS = 30
#: Attempts of one account from any address, against a guesser with many addresses. More than one person needs, since
#: an attacker who uses it up locks the account's owner out as well.
PER_ACCOUNT = 60


@dataclass(frozen=True)
class Attempt:
    """One log-in attempt, counted when it is made."""

    account: str
    address: str

    @classmethod
    def of(cls, request: HttpRequest, account: str) -> "Attempt":
        """Return the attempt of a request to log in as ``account``."""
        return cls(account.casefold()[:254], client_address(request))

    def wait_seconds(self) -> int:
        """Count the attempt; return 0 when it may be made, else the seconds after which another may."""
        taken: list[tuple[str, int]] = []
        for key, count in self._buckets():
            allowed, until_full = RateBucket.objects.take(key, count=count, period=PERIOD_SECONDS)
            if not allowed:
                for other, other_count in taken:  # a refused attempt counts nowhere
                    RateBucket.objects.give_back(other, count=other_count, period=PERIOD_SECONDS)
                logger.warning("log-in refused, too many attempts account=%s address=%s", _shown(self), self.address)
                return max(1, math.ceil(until_full + PERIOD_SECONDS / count - PERIOD_SECONDS))
            taken.append((key, count))
        return 0

    def failed(self) -> None:
        """Note that the password was wrong, or that the account may not log in here."""
        logger.warning("log-in failed account=%s address=%s", _shown(self), self.address)

    def succeeded(self) -> None:
        """Give back what the attempt took."""
        for key, count in self._buckets():
            RateBucket.objects.give_back(key, count=count, period=PERIOD_SECONDS)

    def _buckets(self) -> tuple[tuple[str, int], ...]:
        return (
            (f"login:{_digest(self.account, self.address)}", PER_ACCOUNT_AND_ADDRESS),
            (f"login-address:{self.address}", PER_ADDRESS),
            (f"login-account:{_digest(self.account)}", PER_ACCOUNT),
        )


def _digest(*words: str) -> str:
    """Return a name of fixed length: an account's may be longer than a bucket's."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:40]


def _shown(attempt: Attempt) -> str:
    """Return the account as one word of a log line, whatever was typed."""
    return "".join(character if character.isprintable() else "?" for character in attempt.account)[:100]
