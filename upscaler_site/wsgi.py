"""The door for WSGI servers: gunicorn loads ``upscaler_site.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
application = get_wsgi_application()

from monitoring.requests import counter  # noqa: E402 - it needs Django set up

counter.start_flushing()
