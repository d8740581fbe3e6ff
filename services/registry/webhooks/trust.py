"""Whose certificates a receiver may show: those of public authorities, and an installation's own."""

import ssl


def trusted(ca_file: str) -> ssl.SSLContext:
    """Verifies names and certificates, TLS 1.2 or newer. ca_file: further authorities (PEM); empty for none."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
