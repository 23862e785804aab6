"""Python's UTF-8 mode, whatever the locale: file names, settings and log lines are UTF-8 everywhere in the service."""

import os
import sys


def ensure() -> None:
    """Start this program again in UTF-8 mode where the locale would have it otherwise; return where it has not.

    Python does so by itself for the locale C, but not for, say, LC_ALL=de_DE or under PYTHONUTF8=0. A data directory
    with a letter beyond ASCII in its name then ends in an encoding error somewhere below. Children inherit the mode.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or sys.flags.utf8_mode:
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves, by our own arguments
