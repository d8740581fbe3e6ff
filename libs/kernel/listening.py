"""Where a service listens, and that it does so in the open only with a certificate."""

import grpc.aio

from kernel.settings import Settings
from kernel.tls import ServerTls

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def check(settings: Settings) -> None:
    """SystemExit when somebody elsewhere could listen in, or come as whoever they like to be.

    Only the development identity, which protects nothing anyway, may be told to stand in a network without TLS.
    """
    if _at_home(settings.listen):
        return
    if settings.identity == "development" and not settings.development_anywhere:
        raise SystemExit(
            "MODELOG_LISTEN: the development identity listens on loopback, or set MODELOG_DEVELOPMENT_ANYWHERE=true"
        )
    if settings.identity != "development" and not settings.tls_certificate_file:
        raise SystemExit(
            "MODELOG_LISTEN: beyond loopback set MODELOG_TLS_CERTIFICATE_FILE and MODELOG_TLS_KEY_FILE, for tokens"
            " would go over the network in the open"
        )


def listen(server: grpc.aio.Server, settings: Settings) -> int:
    """Opens the doors; the port of the first. Raises RuntimeError when an address is taken.

    gRPC for Python asks all clients of an address for certificates or none, so who comes with a certificate and who
    comes with a token have a door each, into the same server.
    """
    files = settings.tls_certificate_file, settings.tls_key_file
    if settings.mutual_listen:
        if not (all(files) and settings.tls_client_ca_file):
            raise SystemExit(
                "MODELOG_MUTUAL_LISTEN needs MODELOG_TLS_CERTIFICATE_FILE, _TLS_KEY_FILE and _TLS_CLIENT_CA_FILE"
            )
        mutual = ServerTls(*files, settings.tls_client_ca_file)
        server.add_secure_port(settings.mutual_listen, mutual.credentials())
    if settings.tls_certificate_file:
        return server.add_secure_port(settings.listen, ServerTls(*files).credentials())
    return server.add_insecure_port(settings.listen)


def _at_home(address: str) -> bool:
    return address.rpartition(":")[0] in _LOOPBACK
