"""TLS on both sides behind the proxy, with a certificate of our own."""

import ssl
from pathlib import Path

import grpc
import pytest
from aiohttp.test_utils import TestServer

from router_proxy.errors import ConfigurationInvalid
from routing_policy.policy_file import load_policy
from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import EchoUpstream

from .conftest import GENERAL, HARD, POLICY, REASONING, StartProxy

STAND_INS = Path(__file__).parents[1] / "stand_ins"
CERTIFICATE = STAND_INS / "localhost.pem"
KEY = STAND_INS / "localhost.key"


async def test_an_https_upstream_is_trusted_by_its_ca_file(start_proxy: StartProxy, stand_in_url: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, KEY)
    server = TestServer(EchoUpstream("secure").app, scheme="https")
    await server.start_server(ssl=context)
    endpoint = {"endpoints": [f"https://127.0.0.1:{server.port}"]}
    trusting = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {**endpoint, "ca_file": str(CERTIFICATE)}}})
    wary = await start_proxy(stand_in_url, {"upstreams": {GENERAL: endpoint}})

    trusted, refused = [await each.chat(HARD, model=GENERAL, mode="off") for each in (trusting, wary)]

    await server.close()
    assert (trusted.status, trusted.body["model"], refused.status) == (200, "secure", 502)


async def test_a_ca_file_that_is_none_is_refused(start_proxy: StartProxy, stand_in_url: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")

    for file in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigurationInvalid, match=r"ca_file: expected certificates in"):
            await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"ca_file": str(tmp_path / file)}}})


async def test_triton_is_asked_over_tls(start_proxy: StartProxy) -> None:
    credentials = grpc.ssl_server_credentials([(KEY.read_bytes(), CERTIFICATE.read_bytes())])
    async with StandInTriton(load_policy(POLICY)).serving(credentials) as triton_url:
        secure = triton_url.replace("127.0.0.1", "localhost")
        trusting = await start_proxy(secure, SEMROUTER_TRITON_CA_FILE=str(CERTIFICATE))
        plain = await start_proxy(secure)

        answers = [await each.chat(HARD) for each in (trusting, plain)]

    assert [(answer.body["model"], answer.outcome) for answer in answers] == [
        (REASONING, "routed"),
        (GENERAL, "failopen_error"),
    ]
