"""Everything on the embedded default: `uvicorn relcoord.asgi:application`. Pages are Django's, streams are not."""

import os
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler

from relcoord import stream

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

pages: ASGIHandler = get_asgi_application()
if settings.EMBEDDED:
    pages = ASGIStaticFilesHandler(pages)  # from where they lie; WhiteNoise is not made for ASGI


async def application(scope: Any, receive: Any, send: Any) -> None:
    streams = scope["type"] == "lifespan" or scope.get("path") == stream.PATH
    await (stream.application if streams else pages)(scope, receive, send)
