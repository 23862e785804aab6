"""Django as a WSGI application: what asgi.py answers by, and Django's own development server."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
django.setup(set_prefix=False)

from monitoring.requests import counter  # noqa: E402 - these need Django set up
from upscaler_site.wsgi_handler import Handler  # noqa: E402 - as above

application = Handler()

counter.start_flushing()
