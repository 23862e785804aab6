"""The whole examination: one area after the other, each for itself, so that one that fails hides no other."""

import logging
from collections.abc import Iterable, Iterator

from django.db import DatabaseError, InterfaceError, ProgrammingError

from jobs import deadlines
from jobs.errors import one_line
from modelstore.errors import ModelStoreError, StorageUnavailable
from monitoring.doctor import configuration, database, fleet, proxy, stores, weights
from monitoring.doctor.finding import Area, Finding, fault, note

logger = logging.getLogger(__name__)

#: Seconds for all that one area asks the database.
_DATABASE_SECONDS = 60.0

#: In the order in which a picture meets them. Devices come with the command alone: the web process has no torch.
AREAS = (
    Area(configuration.AREA, configuration.examine),
    Area(database.AREA, database.examine),
    Area(stores.AREA, stores.examine),
    Area(weights.AREA, weights.examine),
    Area(fleet.AREA, fleet.examine),
    Area(proxy.AREA, proxy.examine),
)


def examine(areas: Iterable[Area] = AREAS) -> Iterator[Finding]:
    """Yield the findings as they come."""
    is_away = False  # the database; told once
    for area in areas:
        try:
            with deadlines.within(_DATABASE_SECONDS):
                yield from area.examine()
        except ProgrammingError as error:
            told = f"Not examined, the tables are not those of this version: {one_line(error)}"
            yield fault(area.name, told, "Run: manage.py migrate")
        except (DatabaseError, InterfaceError) as error:
            if is_away:
                yield note(area.name, "Not examined: the database does not answer")
                continue
            is_away = True
            advice = "See that it runs, that it has this database, and that DATABASE_URL leads there"
            yield fault(area.name, f"The database does not answer: {one_line(error)}", advice)
        except StorageUnavailable as error:
            yield fault(area.name, f"{error}: {error.cause}" if error.cause else f"{error}", error.advice)
        except OSError as error:
            told = f"{error.strerror or type(error).__name__}: {error.filename or error}"
            yield fault(area.name, told, "See that the place is there, and that this user may use it")
        except ModelStoreError as error:
            yield fault(area.name, f"{error}", "Run: manage.py verify_models")
        except Exception as error:  # a fault of ours in one area must not hide the others
            logger.exception("doctor's area failed area=%s", area.name)
            told = f"Not examined: {type(error).__name__}: {one_line(error)}"
            yield fault(area.name, told, "Please report it, with the log")
