"""The service's settings with an app that breaks things on demand."""

import os

from upscaler_site.settings import *  # noqa: F403 - the service's settings, with the differences below
from upscaler_site.settings import INSTALLED_APPS, LOGGING, Q_CLUSTER

INSTALLED_APPS = [*INSTALLED_APPS, "tests.jobs.rig.apps.RigConfig"]
Q_CLUSTER = {**Q_CLUSTER, "workers": int(os.environ.get("RIG_WORKERS", "1"))}
LOGGING["loggers"]["django-q"]["level"] = "INFO"  # it tells which process has which role
if os.environ.get("RIG_BROKER"):
    Q_CLUSTER["broker_class"] = os.environ["RIG_BROKER"]
