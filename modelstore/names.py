"""Names of models: the rule for them. Importing this imports nothing of Django's or torch's."""

import re

from modelstore.errors import NameRefused

#: No separator, no leading dot: such a name cannot leave a directory even where it is joined to a path by mistake.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z"
_NAME = re.compile(NAME_PATTERN)
#: Words that the API's addresses use in the place of a name.
_RESERVED = frozenset({"download"})


def checked(name: str) -> str:
    """Return the text when it can be the name of a model.

    :raises NameRefused: otherwise.
    """
    if _NAME.match(name) is None or name in _RESERVED:
        raise NameRefused(name)
    return name
