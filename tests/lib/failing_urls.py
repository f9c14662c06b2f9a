"""Addresses for the test of the error page."""

from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path

from relcoord.urls import handler500  # noqa: F401


@login_not_required
def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("meant")


@login_not_required
def away(request: HttpRequest) -> HttpResponse:
    raise OperationalError("the connection to postgres at 10.0.0.7 is lost")


@login_not_required
def away_inside(request: HttpRequest) -> HttpResponse:
    try:
        raise InterfaceError("the connection is closed")
    except InterfaceError as failure:
        raise RuntimeError("while something was drawn") from failure


urlpatterns = [path("boom/", boom), path("away/", away), path("away/inside/", away_inside)]
