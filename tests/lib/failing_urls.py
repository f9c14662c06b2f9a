"""Addresses for the test of the error page."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import path


@login_not_required
def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("meant")


urlpatterns = [path("boom/", boom)]
