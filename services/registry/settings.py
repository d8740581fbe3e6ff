"""The registry's environment."""

from dataclasses import dataclass

import kernel.settings


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    # Where the secrets of webhooks come from: keys in base64, one a line, the first for new secrets. All processes need
    # the same file; <data_dir>/webhooks.key, made at the first start, when empty.
    webhook_key_file: str = ""
    # Ports that webhooks may lead to, by commas.
    webhook_ports: str = "443"
    # Hosts that may be reached without TLS, and networks that are allowed although they are inside, by commas: for
    # receivers on the premises, and for tests.
    webhook_http_hosts: str = ""
    webhook_networks: str = ""
    # Further authorities (PEM) whose certificates receivers may show.
    webhook_ca_file: str = ""
    # How long one attempt may take, and how long is waited before the next: twice as long each time, with jitter.
    webhook_timeout_seconds: float = 15.0
    webhook_first_pause_seconds: float = 1.0
    webhook_longest_pause_seconds: float = 600.0
