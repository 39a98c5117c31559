"""A name server for one name, as a cluster's is for a headless service: an address for each pod that is ready."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dnslib import QTYPE, RR, A
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

from local.stack.processes import free_ports


class Headless(BaseResolver):  # type: ignore[misc]  # ships no types
    """Answers with whatever `addresses` holds now."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses

    def resolve(self, request: Any, handler: DNSHandler) -> Any:  # noqa: ARG002 - dnslib's signature
        reply = request.reply()
        if request.q.qtype == QTYPE.A:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=1))
        return reply

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on loopback and yield the address, as gRPC's `dns://ADDRESS/name` takes it."""
        (port,) = free_ports(1)
        server = DNSServer(self, address="127.0.0.1", port=port, logger=DNSLogger("-request,-reply"))
        server.start_thread()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop()
            server.server.server_close()
