"""A TCP proxy before a database, that ends a connection at a chosen statement: as a network does, or a restart."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Moment = Literal["before", "after"]
"""Before the server has got the statement, or after it has carried it out, when its answer is on the way."""

Statements = Callable[[bytes], list[bytes]]
"""The statements in what a client has sent at once."""


def mariadb_statements(data: bytes) -> list[bytes]:
    """A packet is its length, a number, and, for a query, 3 and the statement."""
    return [data[5:]] if data[4:5] == b"\x03" else []


def redshift_statements(data: bytes) -> list[bytes]:
    """Messages, each its kind, its length, and, of the kind that parses, a name and the statement."""
    found, rest = [], data
    while rest[:1].isalpha():
        end = 1 + int.from_bytes(rest[1:5], "big")
        if rest[:1] == b"P":
            _, statement, *_ = rest[5:end].split(b"\0")
            found.append(statement)
        rest = rest[end:]
    return found


class FaultProxy:
    """Listens on `port` of `address`, one of the loopback's. `cut` are the statements that it has cut off."""

    def __init__(self, host: str, port: int, address: str, statements: Statements) -> None:
        self._target = (host, port)
        self._statements = statements
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._fault: tuple[bytes, Moment, bytes] | None = None
        self._away = self._away_until = 0.0
        self.cut: list[str] = []
        self._meanwhile: tuple[bytes, Callable[[], object]] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_once(self, beginning: str, moment: Moment, since: str = "", away: float = 0.0) -> None:
        """Ends the next connection on which a statement begins so, once another that begins as `since` was seen.

        For `away` seconds after that nobody can connect.
        """
        self._away = away
        self._fault = (beginning.encode(), moment, since.encode())

    def meanwhile(self, beginning: str, action: Callable[[], object]) -> None:
        """Has `action` done before the next statement that begins so goes on to the server."""
        self._meanwhile = (beginning.encode(), action)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if time.monotonic() < self._away_until:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                muted = threading.Event()
                threading.Thread(target=self._to_server, args=(client, server, muted), daemon=True).start()
                threading.Thread(target=self._to_client, args=(client, server, muted), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        seen: list[bytes] = []
        with suppress(OSError):
            while data := client.recv(1 << 16):
                cuts = [self._cuts(statement, seen) for statement in self._statements(data)]
                if "before" in cuts:
                    break
                if "after" in cuts:
                    muted.set()
                server.sendall(data)
        _end(client, server, muted)

    def _cuts(self, statement: bytes, seen: list[bytes]) -> Moment | None:
        """Notes `statement`; when to cut the connection for it, if at all."""
        seen.append(statement)
        if self._meanwhile and statement.startswith(self._meanwhile[0]):
            action, self._meanwhile = self._meanwhile[1], None
            action()
        if not (self._fault and statement.startswith(self._fault[0]) and self._is_due(seen)):
            return None
        moment, self._fault = self._fault[1], None
        self._away_until = time.monotonic() + self._away
        self.cut.append(statement.decode("utf-8", "replace"))
        return moment

    def _is_due(self, seen: list[bytes]) -> bool:
        return self._fault is not None and any(one.startswith(self._fault[2]) for one in seen)

    def _to_client(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if muted.is_set():
                    break
                client.sendall(data)
        muted.clear()
        _end(client, server, muted)


def _end(client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
    if not muted.is_set():
        for one in (client, server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def fault_proxy(
    host: str, port: str, address: str = "127.0.0.1", statements: Statements = mariadb_statements
) -> Iterator[FaultProxy]:
    proxy = FaultProxy(host, int(port), address, statements)
    try:
        yield proxy
    finally:
        proxy.close()
