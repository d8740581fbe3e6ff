"""Services by their certificates: `spiffe://<trust domain>/svc/<name>` is services/<name>. Pure.

The transport has verified the certificate against the authority it trusts; here only its name is read.
"""

import re
from collections.abc import Sequence

from kernel.errors import Unauthenticated
from modelog.type.v1.principal_pb2 import Principal

_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?")
_PATH = re.compile(r"/svc/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)")


def is_trust_domain(text: str) -> bool:
    return _DOMAIN.fullmatch(text) is not None


def service_of(uris: Sequence[str], trust_domain: str) -> Principal:
    """The service a certificate names. A certificate of several names would let its holder choose, so it has one."""
    if len(uris) != 1:
        raise Unauthenticated("CERTIFICATE_NAME", "a certificate has to name exactly one service")
    prefix = f"spiffe://{trust_domain}"
    if not uris[0].startswith(f"{prefix}/"):
        raise Unauthenticated("CERTIFICATE_TRUST_DOMAIN", f"certificates have to be of the trust domain {trust_domain}")
    named = _PATH.fullmatch(uris[0][len(prefix) :])
    if named is None:
        raise Unauthenticated("CERTIFICATE_NAME", f"a certificate has to name a service: {prefix}/svc/registry")
    return Principal(id=f"services/{named[1]}", auth_method="mtls")
