"""Certificates from files, for the doors of a service and for its ways to the stores. Changed files count from the next
connection on, without a restart; files that do not fit together change nothing, and say so in the log."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc

from kernel.logs import structlog

_log = structlog.get_logger()
_LONGEST_FILE_BYTES = 1 << 20
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to reach a store: whom to believe and, where it asks, which certificate to show. No ca_file: without TLS."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def context(self) -> ssl.SSLContext | None:
        """Made anew at each call, so that a connection uses the files as they are now. OSError when they are wrong."""
        if not self.ca_file:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class ServerTls:
    """The certificate of a service's doors and, with client_ca_file, whose certificates clients have to show."""

    def __init__(self, certificate_file: str, key_file: str, client_ca_file: str = "") -> None:
        """Raises SystemExit when the files do not fit together now: a start that cannot serve should not go on."""
        names = [certificate_file, key_file, *([client_ca_file] if client_ca_file else [])]
        self._files = [Path(name) for name in names]
        self._mutual = bool(client_ca_file)
        try:
            self._stamp = self._stamped()
            self._configuration = self._read()
        except (OSError, ValueError) as error:
            raise SystemExit(f"MODELOG_TLS_CERTIFICATE_FILE: {error}") from error

    def credentials(self) -> grpc.ServerCredentials:
        fetch = cast("Any", self._fetch)  # None means no change, which the published types do not know.
        return grpc.dynamic_ssl_server_credentials(self._configuration, fetch, self._mutual)

    def _fetch(self) -> "grpc.ServerCertificateConfiguration | None":
        """gRPC asks before each handshake, so this looks at the files' times and reads them only when they changed."""
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            self._configuration = self._read()
        except (OSError, ValueError) as error:
            _log.critical("certificates_not_taken", error=str(error), files=[str(path) for path in self._files])
            return None
        _log.info("certificates_taken", certificate_file=str(self._files[0]))
        return self._configuration

    def _stamped(self) -> _Stamp:
        stats = [path.stat() for path in self._files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, *roots = [path.read_bytes() for path in self._files]
        # gRPC takes any bytes and then fails every handshake; OpenSSL says whether certificate and key are a pair.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files[0], self._files[1])
        if roots:
            context.load_verify_locations(cadata=roots[0].decode("ascii"))
        return grpc.ssl_server_certificate_configuration([(key, certificate)], roots[0] if roots else None)
