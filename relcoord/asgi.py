"""Everything on the embedded default: `uvicorn relcoord.asgi:application`."""

import os

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

application: ASGIHandler = get_asgi_application()
if settings.EMBEDDED:
    application = ASGIStaticFilesHandler(application)  # from where they lie; WhiteNoise is not made for ASGI
