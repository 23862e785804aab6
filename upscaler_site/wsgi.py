"""The door for WSGI servers: gunicorn loads ``upscaler_site.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
application = get_wsgi_application()
