"""Two peer connections of a real Chromium meet at our relay and nowhere else, by every transport.

``iceTransportPolicy: "relay"`` leaves them no other way; what the browser says in ``getStats`` of
the pair that it uses, and what the server counts, say which way it was.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from ringline.turn import TurnConfig, TurnService, mint
from tests.certificates import make_certificate
from tests.interop.conftest import CHROMIUM, FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

MEET = """async ({urls, username, credential, messages}) => {
  const iceServers = [{urls, username, credential}];
  const [ann, bob] = [0, 1].map(() =>
    new RTCPeerConnection({iceServers, iceTransportPolicy: "relay"}));
  const types = new Set();
  const trickle = (from, to) => from.onicecandidate = ({candidate}) => {
    if (candidate?.candidate) {
      types.add(candidate.type);
      to.addIceCandidate(candidate);
    }
  };
  trickle(ann, bob);
  trickle(bob, ann);
  const errors = [];
  for (const pc of [ann, bob])
    pc.onicecandidateerror = (e) => errors.push(`${e.errorCode} ${e.errorText} ${e.url}`);
  bob.ondatachannel = ({channel}) => channel.onmessage = ({data}) => channel.send(data);
  const channel = ann.createDataChannel("echo");
  await ann.setLocalDescription();
  await bob.setRemoteDescription(ann.localDescription);
  await bob.setLocalDescription();
  await ann.setRemoteDescription(bob.localDescription);
  const opened = new Promise((done) => channel.onopen = done);
  const patience = new Promise((done) => setTimeout(done, 30000, "late"));
  if (await Promise.race([opened, patience]) === "late")
    return {errors, state: ann.iceConnectionState};
  let echoed = 0;
  const all = new Promise((done) => channel.onmessage = () => ++echoed === messages && done());
  for (let n = 0; n < messages; n++) channel.send(`${n} ${"x".repeat(500)}`);
  await Promise.race([all, patience]);
  const report = await ann.getStats();
  const transport = [...report.values()].find((one) => one.type === "transport");
  const pair = report.get(transport.selectedCandidatePairId);
  const local = report.get(pair.localCandidateId);
  const result = {
    echoed, types: [...types], errors,
    local: local.candidateType, protocol: local.relayProtocol,
    remote: report.get(pair.remoteCandidateId).candidateType,
  };
  ann.close();
  bob.close();
  return result;
}"""


@pytest.fixture
async def trusting_browser() -> AsyncIterator[Browser]:
    """A browser that takes our relay's certificate, which nobody signed."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, "--ignore-certificate-errors"], headless=True
        )
        yield running
        await running.close()


async def meet(browser: Browser, server: TurnService, url: str) -> dict[str, Any]:
    minted = mint("s", user="ann", call="1", expires_at=time.time() + 60)
    page = await (await browser.new_context()).new_page()
    result: dict[str, Any] = await page.evaluate(
        MEET,
        {
            "urls": url,
            "username": minted.username,
            "credential": minted.password,
            "messages": 200,
        },
    )
    print(f"{url.partition(':')[0]} {result}")  # noqa: T201 - what the browser says of it
    assert server.metrics.allocations_created >= 2
    return result


@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls"])
async def test_chromium_meets_itself_at_our_relay(
    trusting_browser: Browser, tmp_path: Path, protocol: str
) -> None:
    config = TurnConfig(
        host="127.0.0.1",
        port=0,
        secrets=("s",),
        tls_port=0,
        tls_certificate=make_certificate(tmp_path, "turn.example"),
    )
    async with TurnService(config) as server:
        url = {
            "udp": f"turn:127.0.0.1:{server.port}?transport=udp",
            "tcp": f"turn:127.0.0.1:{server.port}?transport=tcp",
            "tls": f"turns:127.0.0.1:{server.tls_port}?transport=tcp",
        }[protocol]
        result = await meet(trusting_browser, server, url)
        assert result.get("echoed") == 200, result
        assert result["types"] == ["relay"]
        assert (result["local"], result["remote"]) == ("relay", "relay")
        assert result["protocol"] == protocol
        assert server.metrics.client_to_peer_bytes > 2 * 200 * 500  # there and back
