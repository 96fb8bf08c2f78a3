"""A calling server inside another aiohttp application.

``python examples/embedded_server.py --port 8080``, then open http://localhost:8080/ for the
application's own page and http://localhost:8080/calls/ for Ringline's.
"""

from __future__ import annotations

import argparse

from aiohttp import web

from ringline.signaling import RinglineServer, ServerConfig


async def home(request: web.Request) -> web.Response:
    """Return the application's own page."""
    del request
    return web.Response(text='<a href="/calls/">make a call</a>', content_type="text/html")


def make_app(*, turn_port: int = 3478) -> web.Application:
    """Return an application that has a page of its own, and calls beside it."""
    app = web.Application()
    app.router.add_get("/", home)
    # The server starts and stops with the application.  In production give it `token_keys`
    # instead of `dev=True`: then only who has a token of yours can enter.
    RinglineServer(ServerConfig(dev=True, turn_port=turn_port)).add_routes(app, prefix="/calls")
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve an application with calls in it.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--turn-port", type=int, default=3478)
    options = parser.parse_args()
    web.run_app(make_app(turn_port=options.turn_port), host=options.host, port=options.port)
