"""Small hands for tests that go over HTTP without a browser."""

from __future__ import annotations

import html
import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

from relcoord.models import User


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text(answer: HttpResponse | Any) -> str:
    """What a reader sees: tags and entities away, blanks made one."""
    words = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    words = re.sub(r"</?(b|i|em|strong|span|small|time|a|svg|use|br)\b[^>]*>", "", words)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", words)).split())


def markup(answer: HttpResponse | Any) -> str:
    return answer.content.decode()
