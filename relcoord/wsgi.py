"""Pages in production: `gunicorn relcoord.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

application = get_wsgi_application()
