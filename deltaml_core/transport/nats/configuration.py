"""What an aggregator's nats-server is told."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from string import Template

from deltaml_core.errors import NodeError
from deltaml_core.transport.http.server import Certificate
from deltaml_core.transport.nats.keys import BrokerKeys

MAXIMUM_PAYLOAD = 16 << 20
"""Bytes of the longest message, compressed: a thousand weights at 3072 bits take 1 MB."""
MAXIMUM_CONNECTIONS = 25_000
_SIZE = re.compile(r"[1-9][0-9]*[KMGT]B?")
_TLS = """
tls {{
  cert_file: {chain}
  key_file: {key}
}}
"""


def server_configuration(
    keys: BrokerKeys,
    aggregator: str,
    *,
    listen: str,
    store: Path,
    maximum_store: str = "50GB",
    certificate: Certificate | None = None,
) -> str:
    """The text of a configuration file for nats-server; it holds no secret.

    Args:
        keys: of the aggregator's broker.
        aggregator: its address, for people.
        listen: host and port.
        store: the server's folder for what waits.
        maximum_store: of that, as nats-server writes sizes.
        certificate: for TLS; paths as the server sees them.

    Raises:
        NodeError: no size.
    """
    if not _SIZE.fullmatch(maximum_store):
        raise NodeError(f"{maximum_store!r} is no size: write it as nats-server does, for example 50GB")
    template = Template(resources.files(__package__).joinpath("server.conf.template").read_text(encoding="utf-8"))
    tls = _TLS.format(chain=json.dumps(str(certificate.chain)), key=json.dumps(str(certificate.key))) if certificate else ""
    return template.substitute(
        keys.configuration(),
        aggregator=aggregator,
        listen=json.dumps(listen),
        max_payload=MAXIMUM_PAYLOAD,
        max_connections=MAXIMUM_CONNECTIONS,
        tls=tls,
        store=json.dumps(str(store)),
        max_store=maximum_store,
    )
