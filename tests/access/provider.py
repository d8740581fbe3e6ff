"""A real OpenID Connect provider as a process: `python -m tests.access.provider FOLDER PORT`.

django-oauth-toolkit with its own views, database, users and RSA key. Two things it leaves to whoever runs it: access
tokens are JWTs (ACCESS_TOKEN_GENERATOR), and discovery names the endpoint for devices, which it has and does not list.
"""

import json
import secrets
import sys
import time
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from jwcrypto.jwk import JWK

CLIENT = "modelog-cli"
PEOPLE = {"ada": "a-long-password", "bob": "another-long-password"}
_LOGIN = '<form method="post">{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>'
_SECONDS = 600
_folder, _port = Path(sys.argv[1]), int(sys.argv[2])
ISSUER = f"http://127.0.0.1:{_port}/o"


def private_key() -> str:
    path = _folder / "key.pem"
    if not path.exists():
        key = rsa.generate_private_key(65537, 2048)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path.read_text()


def access_token(request: Any, refresh_token: bool = False) -> str:
    """As RFC 9068 has it, signed with the provider's key; refresh tokens stay random."""
    if refresh_token:
        return secrets.token_urlsafe(32)
    from oauth2_provider.models import get_device_grant_model

    device_code = getattr(request, "device_code", None)
    user = get_device_grant_model().objects.get(device_code=device_code).user if device_code else request.user
    key, now = JWK.from_pem(settings.OAUTH2_PROVIDER["OIDC_RSA_PRIVATE_KEY"].encode()), int(time.time())
    claims = {"iss": ISSUER, "aud": "modelog", "sub": user.get_username(), "client_id": request.client_id}
    claims |= {"iat": now, "exp": now + _lifetime(), "jti": secrets.token_hex(8)}
    pem = settings.OAUTH2_PROVIDER["OIDC_RSA_PRIVATE_KEY"]
    return jwt.encode(claims, pem, algorithm="RS256", headers={"kid": key.thumbprint(), "typ": "at+jwt"})


def _lifetime() -> int:
    """A test that does not want to wait for the end of a token writes a shorter life into this file."""
    path = _folder / "lifetime"
    return int(path.read_text()) if path.exists() else _SECONDS


def configure() -> None:
    loader = ("django.template.loaders.locmem.Loader", {"registration/login.html": _LOGIN})
    settings.configure(
        SECRET_KEY=secrets.token_hex(32),
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_folder / "provider.sqlite3")}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [loader, "django.template.loaders.app_directories.Loader"],
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGIN_URL="/login/",
        USE_TZ=True,
        LOGGING={
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
        },
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": private_key(),
            "OIDC_ISS_ENDPOINT": ISSUER,
            "ACCESS_TOKEN_GENERATOR": access_token,
            "ACCESS_TOKEN_EXPIRE_SECONDS": _SECONDS,
            "SCOPES": {"openid": "Who you are", "offline_access": "Stay logged in"},
            "OAUTH_DEVICE_VERIFICATION_URI": f"{ISSUER}/device/",
            "OAUTH_DEVICE_VERIFICATION_URI_COMPLETE": lambda code: f"{ISSUER}/device/?user_code={code}",
            "DEVICE_FLOW_INTERVAL": 1,
        },
    )
    django.setup()


def fill() -> None:
    """The database with its people and the one client."""
    from django.contrib.auth.models import User
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0)
    for name, password in PEOPLE.items():
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, password=password)
    application = get_application_model()
    application.objects.get_or_create(
        client_id=CLIENT,
        defaults={
            "name": "modelog",
            "client_type": application.CLIENT_PUBLIC,
            "authorization_grant_type": application.GRANT_DEVICE_CODE,
            "algorithm": application.RS256_ALGORITHM,
        },
    )


def discovery(request: Any) -> Any:
    """The provider's own document, with the one entry it leaves out."""
    from django.http import JsonResponse
    from oauth2_provider.views import ConnectDiscoveryInfoView

    document = json.loads(ConnectDiscoveryInfoView.as_view()(request).content)
    return JsonResponse(document | {"device_authorization_endpoint": f"{ISSUER}/device-authorization/"})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Requests are told by tests."""


def main() -> None:
    fill()
    with make_server("127.0.0.1", _port, get_wsgi_application(), _Server, _Quiet) as server:
        print("ready", flush=True)
        server.serve_forever()


configure()

from django.contrib.auth.views import LoginView  # noqa: E402 - Django wants to be configured first.
from django.urls import include, path  # noqa: E402

urlpatterns = [
    path("o/.well-known/openid-configuration", discovery),
    path("login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

if __name__ == "__main__":
    main()
