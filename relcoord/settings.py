"""Every setting, in one file; the environment decides.

Without DATABASE_URL relcoord is embedded: SQLite and files in VAR_DIR, nothing to
install, nothing to set. With DATABASE_URL it is in production, and then what it
needs must be given: a missing or weak value stops the start and is named.
"""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from redis.backoff import NoBackoff
from redis.retry import Retry

from relcoord import embedded
from relcoord.env import Environment
from relcoord.lib import logs

django_stubs_ext.monkeypatch()  # lets a class be written as `models.CharField[str, str]`

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

# Where it runs

EMBEDDED = not env.given("DATABASE_URL")
DEBUG = env.flag("DEBUG", default=False)
VAR_DIR = env.directory("VAR_DIR", default=BASE_DIR / "var")
if EMBEDDED:
    embedded.prepare(VAR_DIR)
HOST = env.text("HOST", default="127.0.0.1")  # HOST and PORT: where `runall` listens
PORT = env.number("PORT", default=8000, smallest=1, largest=65535)
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]", socket.gethostname().lower(), HOST} - {"0.0.0.0", "::"}  # noqa: S104

SITE_URL = env.site_url(
    "SITE_URL",
    default=f"http://{'localhost' if HOST in {'0.0.0.0', '::'} else HOST}:{PORT}" if EMBEDDED else None,  # noqa: S104
    secure=not EMBEDDED,
)
SITE_HOST = urlsplit(SITE_URL).hostname or "localhost"
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", default=",".join({SITE_HOST, *LOCAL_NAMES}) if EMBEDDED else None)
SECRET_KEY = env.secret("SECRET_KEY", default=embedded.secret_key(VAR_DIR) if EMBEDDED else None)

DEMO = env.flag("DEMO", default=EMBEDDED)  # fill an empty database with examples on the first start
RIBBON = env.text("RIBBON", default="")  # words on every page that mark a trial or staging site

# Parts

INSTALLED_APPS = [
    "relcoord",
    "checklists",
    "releases",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]

MIDDLEWARE = [
    "relcoord.middleware.LogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "relcoord.middleware.ContentSecurityPolicyMiddleware",
    "relcoord.middleware.ProbeMiddleware",
    "relcoord.middleware.RefuseNulMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "relcoord.middleware.HtmxLoginMiddleware",
    "relcoord.middleware.NoStoreFragmentsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "relcoord.middleware.TimeZoneMiddleware",
    "releases.views.shell.ShellMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

if EMBEDDED:
    MIDDLEWARE.remove("whitenoise.middleware.WhiteNoiseMiddleware")  # relcoord.asgi serves static files itself

ROOT_URLCONF = "relcoord.urls"
WSGI_APPLICATION = "relcoord.wsgi.application"
ASGI_APPLICATION = "relcoord.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "relcoord.context.shell",
            ],
        },
    },
]

# Data

DATABASES = {"default": embedded.sqlite(VAR_DIR) if EMBEDDED else env.database("DATABASE_URL")}
if not EMBEDDED:
    # A statement that takes longer is a fault, and must not hold a lock; 0 lifts the limit (for long migrations).
    seconds = env.number("DATABASE_STATEMENT_TIMEOUT", default=5)
    given = DATABASES["default"]["OPTIONS"].pop("options", "")
    limits = f"-c lock_timeout=2s -c statement_timeout={seconds}s -c idle_in_transaction_session_timeout=60s"
    alone = "-c max_parallel_workers_per_gather=0"  # statements are small: helpers would start longer than these take
    DATABASES["default"]["OPTIONS"]["options"] = f"{limits} {alone} {given}".strip()
    DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", "5")  # seconds
    DATABASES["default"]["OPTIONS"].setdefault("tcp_user_timeout", "10000")  # milliseconds, for a server that vanished
    DATABASES["default"]["ENGINE"] = "relcoord.lib.postgres"
    DATABASES["default"]["CONN_MAX_AGE"] = 60  # seconds
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.redis("REDIS_URL", default="" if EMBEDDED else None)
# Seconds; and one more try at once, for a connection that a restart of Redis has cut, where the library would wait.
SHORT = {"socket_connect_timeout": 1, "socket_timeout": 1, "retry": Retry(NoBackoff(), 1)}
CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if REDIS_URL:
    CACHES = {
        name: {"BACKEND": f"relcoord.lib.cache.{kind}", "LOCATION": REDIS_URL, "OPTIONS": SHORT}
        for name, kind in {"default": "ForgivingRedisCache", "sessions": "SessionCache"}.items()
    }
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"  # the database holds them, Redis is asked first
    SESSION_CACHE_ALIAS = "sessions"

# Background work: a task only says "look now"; what is owed stands in the database.

CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost/"
CELERY_BROKER_TRANSPORT = None if REDIS_URL else "relcoord.queue:Transport"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "visibility_timeout": 300,  # seconds
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
    }
    if REDIS_URL
    else embedded.broker_options(VAR_DIR)
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = False  # a dead broker must not keep a page waiting; the next tick looks anyway
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SOFT_TIME_LIMIT = 90  # seconds
CELERY_TASK_TIME_LIMIT = 120
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "reminders": {"task": "releases.tasks.tick", "schedule": 30.0, "options": {"expires": 25}},
    "canary": {"task": "releases.tasks.canary", "schedule": 60.0, "options": {"expires": 50}},
}

# Mail

EMAIL_TIMEOUT = 10  # seconds
OUTBOX_DIR = VAR_DIR / "outbox"
OUTBOX_ENABLED = EMBEDDED and not env.given("EMAIL_URL")  # mail is kept, and shown at /outbox/
if OUTBOX_ENABLED:
    EMAIL_BACKEND = "relcoord.lib.outbox.EmailBackend"
else:
    vars().update(env.email("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", default=f"relcoord <relcoord@{SITE_HOST}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_SUBJECT_PREFIX = ""

# People

AUTH_USER_MODEL = "relcoord.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "relcoord.accounts.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # accounts are made by an administrator or an invitation
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(SITE_URL).scheme
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "relcoord"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = EMBEDDED

SOCIALACCOUNT_ADAPTER = "relcoord.accounts.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if env.given("OIDC_URL"):
    SOCIALACCOUNT_EMAIL_AUTHENTICATION = True  # the company's log-in vouches for the address
    SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "company",
                "name": env.text("OIDC_NAME", default="single sign-on"),
                "client_id": env.text("OIDC_CLIENT_ID"),
                "secret": env.text("OIDC_SECRET"),
                "settings": {"server_url": env.text("OIDC_URL")},
            }
        ],
    }

# Time and language

USE_TZ = True
TIME_ZONE = env.time_zone("TIME_ZONE", default="UTC")
USE_I18N = True
LANGUAGE_CODE = "en-gb"

# Static files

STATIC_URL = "/static/"
STATIC_ROOT = env.directory("STATIC_ROOT", default=BASE_DIR / "staticfiles")  # where collectstatic puts them
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_STORAGE = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
    if EMBEDDED
    else "whitenoise.storage.CompressedManifestStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATIC_STORAGE},
}

# Security: what depends on https follows SITE_URL

HTTPS = SITE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600  # seconds
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]  # probes come from inside, without TLS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.flag("BEHIND_PROXY", default=False):  # only where a proxy sets this header on every request
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1

# What operators see

LEVELS = ("debug", "info", "warning", "error")
LOG_LEVEL = env.choice("LOG_LEVEL", *LEVELS, default="warning" if EMBEDDED else "info").upper()
LOG_FORMAT = env.choice("LOG_FORMAT", "json", "text", default="text" if EMBEDDED or DEBUG else "json")
LOGGING = logs.configuration(LOG_FORMAT, LOG_LEVEL)
# Who may read /metrics; nobody without it.
METRICS_TOKEN = env.secret("METRICS_TOKEN") if env.given("METRICS_TOKEN") else ""
