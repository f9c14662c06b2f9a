"""Who may get an account: nobody by themselves."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by an administrator; there is no sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Whom the company's own log-in lets through may enter, and gets an account on the first visit."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True
