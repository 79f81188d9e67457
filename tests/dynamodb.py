"""Exports as DynamoDB writes them, and a door before a live table that counts, and turns away, like the real one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3

from tests.databases import Server

Item = Mapping[str, Mapping[str, Any]]

ITEMS_A_UNIT = 4
"""Of 1 KB, read consistently."""


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def write_export(
    place: Path,
    files: Sequence[Sequence[Item]],
    *,
    made_at: str = "2024-01-31T23:00:00.000Z",
    export_id: str = "01706742000000-a1b2c3d4",
    table: str = "profiles",
    **summary: Any,
) -> Path:
    """The folder of an export, below `place`, that holds the items of `files`; `summary` says otherwise in its words.

    A file without items is one without a byte.
    """
    folder = place / "AWSDynamoDB" / export_id
    (folder / "data").mkdir(parents=True)
    (folder / "_started").write_bytes(b"")
    named = []
    for number, items in enumerate(files):
        lines = "".join(json.dumps({"Item": item}, separators=(",", ":")) + "\n" for item in items)
        content = gzip.compress(lines.encode(), mtime=0) if items else b""
        name = f"data/{number:026}.json.gz"
        (folder / name).write_bytes(content)
        named.append(
            {
                "itemCount": len(items),
                "md5Checksum": md5(content),
                "etag": f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}-1",
                "dataFileS3Key": f"some/prefix/AWSDynamoDB/{export_id}/{name}",
            }
        )
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}"
    write_manifest(folder, "manifest-files", "\n".join(map(json.dumps, named)) + "\n")
    told = {
        "version": "2020-06-30",
        "exportArn": f"{arn}/export/{export_id}",
        "startTime": made_at,
        "endTime": made_at,
        "tableArn": arn,
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": made_at,
        "s3Bucket": "exports",
        "s3Prefix": "some/prefix",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"some/prefix/AWSDynamoDB/{export_id}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": sum(map(len, files)),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }
    write_manifest(folder, "manifest-summary", json.dumps(told | summary))
    return folder


def write_manifest(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.json").write_text(text)
    (folder / f"{name}.md5").write_text(md5(text.encode()))


def dynamodb_client(server: Server, port: int | None = None) -> Any:
    """A client of the DynamoDB in the S3 that scripts/services.sh has started: moto's server is all of AWS."""
    return boto3.client(
        "dynamodb",
        endpoint_url=f"http://{server.host}:{port or server.port}",
        region_name="eu-west-1",
        aws_access_key_id=server.user,
        aws_secret_access_key=server.password,
    )


def fill_table(server: Server, name: str, items: Sequence[Item]) -> None:
    """Makes a table of `items`, whose key is customer_id. moto finds its pages again only if they come in order."""
    client = dynamodb_client(server)
    key = "customer_id"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    in_order = sorted(items, key=lambda item: str(item[key]["S"]))
    for start in range(0, len(in_order), 25):
        puts = [{"PutRequest": {"Item": item}} for item in in_order[start : start + 25]]
        client.batch_write_item(RequestItems={name: puts})


@dataclass(frozen=True)
class Asked:
    """A request to scan: when it came, what was asked, what it consumed; `error` is what it was turned away with."""

    at: float
    request: Mapping[str, Any]
    units: float = 0.0
    error: str = ""

    @property
    def segment(self) -> int | None:
        return self.request.get("Segment")


@dataclass
class Door:
    """Passes requests on to a server. `turns_away` names the error for a request, by it and by its number; or none."""

    port: int
    turns_away: Callable[[Mapping[str, Any], int], str] = lambda request, number: ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def door(server: Server) -> Iterator[Door]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            at = time.monotonic()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            with lock:
                error = opened.turns_away(request, len(opened.asked))
                opened.asked.append(Asked(at, request, error=error))
                place = len(opened.asked) - 1
            if error:
                self._answer(400, json.dumps({"__type": f"com.amazonaws#{error}", "message": "not now"}).encode())
                return
            connection = HTTPConnection(server.host, int(server.port))
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 200:
                page = json.loads(content)
                units = page["ScannedCount"] / ITEMS_A_UNIT
                opened.asked[place] = Asked(at, request, units)
                page["ConsumedCapacity"] = {"TableName": request["TableName"], "CapacityUnits": units}
                content = json.dumps(page).encode()
            self._answer(answer.status, content)

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    opened = Door(listener.server_address[1])
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
