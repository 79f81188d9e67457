"""What Streamlit serves: the pages of app.py, in an HTML page that says at once where the server is.

Opened at the address of a page, as a link to a colleague has it, the browser would try that page's path first as the
server's, and write the failures into its console.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.starlette import App

_SAYS = b"<head><script>window.__streamlit = {BACKEND_BASE_URL: window.location.origin + '/'};</script>"


class ToldAddress:
    """Puts it into the HTML of every page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "." in scope["path"] or "/_stcore" in scope["path"]:
            await self._app(scope, receive, send)
            return
        # As it is written, and not compressed.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        start: dict[str, Any] = {}
        body = bytearray()

        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body).replace(b"<head>", _SAYS, 1)
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            start["headers"] = [*kept, (b"content-length", str(len(whole)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self._app({**scope, "headers": headers}, receive, changed)


app = App(Path(__file__).with_name("app.py"), middleware=[Middleware(ToldAddress)])
