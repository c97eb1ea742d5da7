"""What an owner or a buyer sends and receives through: every connection goes out from here, to the aggregator's server.

The server learns this participant's address and its messages, which go through the aggregator by protocol. It cannot sign in
elsewhere in its name: what is signed here names the server that was meant.
"""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from deltaml_core import canonical
from deltaml_core.errors import MessageError, NodeError, RefusedError, SignatureError, TransportError
from deltaml_core.messages import MAXIMUM_BYTES, decode
from deltaml_core.signatures import SignedMessage
from deltaml_core.transport.base import Delivery
from deltaml_core.transport.http.sign_in import Admission, Site, TextSigner

_COMPRESSED_FROM = 16 << 10
_LONGEST_ANSWER = 3 * MAXIMUM_BYTES
_LONGEST_WORDS = 500
_LONGEST_WAIT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    params: Mapping[str, str | int | float] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes

    @property
    def words(self) -> str:
        """The server's words for a fault, cut short: they are a stranger's."""
        try:
            content = canonical.load(self.body)
            found = content["error"]
        except (ValueError, TypeError, KeyError, RecursionError):
            found = None
        return found[:_LONGEST_WORDS] if isinstance(found, str) else f"HTTP status {self.status}"


class HttpTransport:
    """One participant's connection to one aggregator; safe for one thread that sends and one that receives.

    Attributes:
        url: the aggregator's server.
    """

    def __init__(
        self,
        url: str,
        signer: TextSigner,
        chain_id: int,
        *,
        authority: Path | None = None,
        insecure: bool = False,
        patience: float = 30.0,
        timeout: float = 10.0,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: the aggregator's server, as it names itself.
            signer: this participant's wallet.
            chain_id: the chain of the trainings.
            authority: a PEM file of certificates to trust instead of the system's, for a server with a certificate of its own.
            insecure: allow http:// to another machine, where others can read the token and act as this participant.
            patience: seconds for which a call is tried again before it fails.
            timeout: seconds after which a server that says nothing is not waited for.

        Raises:
            NodeError: no URL of a server, plain http to another machine, or the authority's file cannot be read.
        """
        self.url = url.rstrip("/")
        loopback = _check_url(self.url, insecure)
        self._signer = signer
        self._site = Site(self.url, chain_id)
        self._patience = patience
        self._timeout = timeout
        limits = httpx.Limits(keepalive_expiry=15.0)  # sooner than the server ends idle connections
        self._http = httpx.Client(verify=_trust(authority), timeout=timeout, limits=limits, trust_env=not loopback)
        self._token: str | None = None
        self._signing_in = threading.Lock()
        self._taken = self._told = 0
        self._sockets: list[socket.socket] = []
        self._connecting = threading.Lock()
        self._closed = threading.Event()

    # --- the transport ---

    def send(self, data: bytes) -> None:
        """Hand a signed message over. When this returns it is on the aggregator's disk.

        Raises:
            TransportError: nobody answered within this transport's patience.
            RefusedError: it is no message, or the aggregator will not have it; status 404 when it does not know the training, yet.
        """
        try:
            message = decode(SignedMessage.decode(data).message)
        except MessageError as error:
            raise RefusedError(f"not sent: {error}", HTTPStatus.BAD_REQUEST) from error
        headers = {"content-type": "application/json"}
        if len(data) >= _COMPRESSED_FROM:
            data = gzip.compress(data, compresslevel=1)
            headers["content-encoding"] = "gzip"
        self._ask(_Call("POST", "/messages", {"request": message.request}, data, headers))

    def receive(self, wait: float) -> list[Delivery]:
        """The oldest messages for this participant that it has not acknowledged; empty when there are none after `wait` seconds.

        Also empty after `close`, and when that is called meanwhile.

        Raises:
            TransportError: nobody answered within this transport's patience, or what was answered makes no sense.
            RefusedError: this participant may not receive here.
        """
        wait, taken = min(max(wait, 0.0), _LONGEST_WAIT), self._taken
        after = {"after": taken} if taken > self._told else {}
        try:
            answer = self._ask(_Call("GET", "/messages", {**after, "wait": wait}, wait=wait))
        except TransportError:
            if self._closed.is_set():
                return []
            raise
        self._told = taken
        return _deliveries(answer.body)

    def acknowledge(self, delivery: Delivery) -> None:
        """This message and all before it are kept here; the aggregator is told with the next `receive`."""
        self._taken = max(self._taken, delivery.number)

    def register(self) -> None:
        """Offer this participant's data to the aggregator (T§7.1 step 2).

        Raises:
            TransportError: nobody answered.
            RefusedError: the aggregator will not have it.
        """
        self._ask(_Call("PUT", "/owners/me"))

    def broker_pass(self, nkey: str) -> Admission:
        """What lets this participant in at the aggregator's broker.

        Args:
            nkey: the public part of what it will connect with.

        Raises:
            TransportError: nobody answered.
            RefusedError: the aggregator has no broker (404), or will not have it.
        """
        body, headers = json.dumps({"nkey": nkey}).encode("ascii"), {"content-type": "application/json"}
        answer = self._ask(_Call("POST", "/broker", body=body, headers=headers))
        try:
            seconds = canonical.load(answer.body)["seconds"]
        except (ValueError, TypeError, KeyError, RecursionError):
            seconds = None
        if type(seconds) is not int or seconds <= 0:
            raise RefusedError(f"{self.url} is no server of DeltaML: it does not say how long its pass is good for")
        return Admission(self._field(answer, "url"), self._field(answer, "token"), seconds)

    def close(self) -> None:
        """Let go of connections and end a call that waits in another thread; nothing that was sent is lost."""
        self._closed.set()
        with self._connecting:
            self._shut_down()
        self._http.close()

    # --- calls ---

    def _ask(self, call: _Call) -> _Answer:
        """The answer to a call, tried again while it may help."""
        deadline, pause, rejected = time.monotonic() + self._patience, _FIRST_PAUSE, None
        while True:
            try:
                token = self._sign_in(rejected)
                answer = self._once(call, token)
            except RefusedError:
                raise
            except (httpx.RequestError, TransportError) as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise TransportError(f"{self.url} shows a certificate that is not trusted here: give its authority's file") from error
                fault = str(error) or type(error).__name__
            else:
                if answer.status == HTTPStatus.UNAUTHORIZED and rejected is None:
                    rejected = token
                    continue
                if answer.status < HTTPStatus.BAD_REQUEST:
                    return answer
                fault = self._fault(answer)
            left = deadline - time.monotonic()
            if left <= 0 or self._closed.wait(min(left, pause * (1 + secrets.randbelow(1001) / 1000) / 2)):
                raise TransportError(f"{self.url} cannot be reached: {fault}")
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fault(self, answer: _Answer) -> str:
        """Words for what may pass.

        Raises:
            RefusedError: it will not.
        """
        if answer.status in _TRANSIENT or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return answer.words
        raise RefusedError(f"{self.url} refuses: {answer.words}", answer.status)

    def _sign_in(self, rejected: str | None) -> str:
        """The token; a new one when there is none, or the one there is was rejected."""
        with self._signing_in:
            if self._token is None or self._token == rejected:
                self._token = None
                nonce = self._field(self._once(_Call("POST", "/nonces")), "nonce")
                try:
                    text = self._site.text(self._signer.address, nonce)
                except SignatureError as error:
                    raise RefusedError(f"{self.url} cannot be signed in to: {error}") from error
                signed = {"message": text, "signature": "0x" + self._signer.sign_text(text).hex()}
                headers = {"content-type": "application/json"}
                body = json.dumps(signed).encode("ascii")
                self._token = self._field(self._once(_Call("POST", "/tokens", body=body, headers=headers)), "token")
            return self._token

    def _field(self, answer: _Answer, name: str) -> str:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise TransportError(self._fault(answer))
        try:
            found = canonical.load(answer.body)[name]
        except (ValueError, TypeError, KeyError, RecursionError):
            found = None
        if not isinstance(found, str) or not found.isascii() or not found.isprintable():
            raise RefusedError(f"{self.url} is no server of DeltaML: it gave no {name}")
        return found

    def _once(self, call: _Call, token: str | None = None) -> _Answer:
        if self._closed.is_set():
            raise TransportError("this connection was closed")
        headers = {**(call.headers or {}), **({"authorization": f"Bearer {token}"} if token else {})}
        timeout = httpx.Timeout(self._timeout, read=self._timeout + call.wait)
        request = self._http.build_request(
            call.method,
            self.url + call.path,
            params=call.params,
            content=call.body,
            headers=headers,
            timeout=timeout,
            extensions={"timeout": timeout.as_dict(), "trace": self._connected},
        )
        try:
            response = self._http.send(request, stream=True)
        except RuntimeError as error:
            if self._http.is_closed:  # just now, by another thread
                raise TransportError("this connection was closed") from error
            raise
        with contextlib.closing(response):
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    raise RefusedError(f"{self.url} gives an answer longer than any honest one")
        return _Answer(response.status_code, bytes(body))

    def _connected(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore tells what it does: remember the sockets, for `close`."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._connecting:
                self._sockets = [known for known in self._sockets if known.fileno() >= 0]
                self._sockets.append(info["return_value"].get_extra_info("socket"))
                if self._closed.is_set():
                    self._shut_down()

    def _shut_down(self) -> None:
        """End every read and write, in whichever thread."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):  # ended already
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own would spoil the other thread's read


def _check_url(url: str, insecure: bool) -> bool:
    """Whether the server is on this machine.

    Raises:
        NodeError: no URL of a server, or plain http to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise NodeError(f"{url!r} is no server's URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username is not None:
        raise NodeError(f"{url!r} is no server's URL: give https://name, with a port where it needs one")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if parts.scheme == "http" and not (loopback or insecure):
        raise NodeError(f"{url} would show everybody on the way the token that speaks for this participant: use https")
    return loopback


def _trust(authority: Path | None) -> ssl.SSLContext | bool:
    if authority is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise NodeError(f"{authority} holds no certificates in PEM form: {error}") from error


def _deliveries(body: bytes) -> list[Delivery]:
    try:
        found = canonical.load(body)["messages"]
        return [Delivery(_number(entry["number"]), entry["envelope"].encode("ascii")) for entry in found]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TransportError(f"the aggregator's answer holds no messages: {error!r}") from error


def _number(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 53:
        raise TypeError("a message's place is a whole number")
    return value
