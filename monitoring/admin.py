"""Admin registrations of other apps' models: users and groups as we show them, and django-q's own pages removed.

The latter unpickle whatever the queue's tables hold, and jobs, workers and Operations show their facts better. All
four must go: with only some of them unregistered, the rest answer with an error.
"""

from contextlib import suppress

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered

from monitoring import people

people.register()

for _name in ("Schedule", "Success", "Failure", "OrmQ"):
    # django_q registers some of them only with certain settings.
    with suppress(NotRegistered):
        admin.site.unregister(apps.get_model("django_q", _name))
