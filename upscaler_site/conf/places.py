"""Places of this program's own files: a checkout, or a package that pip or pipx installed. Nothing is created here."""

import os
import sys
from pathlib import Path

#: The directory from which the rooms are imported.
ROOT = Path(__file__).resolve().parent.parent.parent
#: The wheel carries `templates/` inside of upscaler_site: beside other packages the name would be anybody's.
_CARRIED = ROOT / "upscaler_site" / "templates"

INSTALLED = _CARRIED.is_dir()
TEMPLATES = _CARRIED if INSTALLED else ROOT / "templates"


def data_directory() -> Path:
    """Return where data lies by default: beside the checkout's files, or in the user's own place for data.

    An upgrade of an installed package deletes its folder, so nothing of the user's may lie there.
    """
    if not INSTALLED:
        return ROOT / "var"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "upscaler"
    given = os.environ.get("XDG_DATA_HOME", "")
    # The specification (XDG base directories 0.8) has relative paths ignored.
    return (Path(given) if given.startswith("/") else Path.home() / ".local" / "share") / "upscaler"
