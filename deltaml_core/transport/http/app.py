"""The routes of an aggregator's relay, and one form of every fault: `{"error": "<words>"}`."""

# no `from __future__ import annotations`: FastAPI reads the annotations of the functions inside `application`
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deltaml_core import canonical
from deltaml_core.errors import RefusedError, SignatureError
from deltaml_core.transport.http import bodies, documentation
from deltaml_core.transport.http.metrics import CountingCalls, Metrics
from deltaml_core.transport.http.relay import LONGEST_WAIT, Relay
from deltaml_core.transport.http.sign_in import TOKEN_SECONDS, Broker, Doorkeeper, Site

_COMPRESSED_FROM = 1024  # bytes; below, gzip gains nothing


class Fault(BaseModel):
    """Why a call was refused."""

    error: str


class Nonce(BaseModel):
    """What makes the text to be signed a new one."""

    nonce: str


class SignedText(BaseModel):
    """A text in the form of EIP-4361, and its signature by the key whose address it names (EIP-191)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: str = Field(max_length=4096)
    signature: str = Field(pattern=r"^0x[0-9a-f]{130}$", description="65 bytes, hexadecimal")


class Token(BaseModel):
    """To be sent with every other call, as `Authorization: Bearer <token>`."""

    token: str
    seconds: int = Field(description="how long it is good for, at most")


class Nkey(BaseModel):
    """The public part of what a participant will connect to the broker with."""

    model_config = ConfigDict(extra="forbid", strict=True)

    nkey: str = Field(pattern=r"^U[A-Z2-7]{55}$")


class Pass(BaseModel):
    """Where the broker is, and what lets the nkey in."""

    url: str
    token: str
    seconds: int = Field(description="how long it is good for")


class Receipt(BaseModel):
    """The message is kept on the disk here."""

    new: bool = Field(description="false when it was here before")


class Waiting(BaseModel):
    """A message that its recipient has not acknowledged."""

    number: int
    envelope: str = Field(description="the signed message")


class Batch(BaseModel):
    """The oldest messages that the recipient has not acknowledged, in order."""

    messages: list[Waiting]


class Health(BaseModel):
    """That this server runs, and whose it is."""

    status: str
    aggregator: str
    chain_id: int


_WORDS = {
    400: "the body cannot be read",
    401: "not signed in, or no longer",
    403: "speaking as another, or no part in this training",
    404: "the training request is not known here",
    408: "the body comes too slowly",
    413: "the body is too long",
    415: "the body has another type or encoding",
    422: "a parameter or the body has another form",
    429: "too much at once: try again later",
}


def application(relay: Relay, site: Site, doorkeeper: Doorkeeper, broker: Broker | None = None) -> FastAPI:
    """The application of one aggregator.

    Args:
        relay: passes messages on.
        site: where callers sign in.
        doorkeeper: signs them in.
        broker: over which messages go as well; without, there is no route to it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        relay.open()
        yield
        relay.close()

    app = FastAPI(title="DeltaML aggregator", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    metrics = Metrics(lambda: relay.polls, lambda: len(doorkeeper))
    app.add_middleware(CountingCalls, metrics=metrics)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    bearer = HTTPBearer(auto_error=False, description="the token of `POST /tokens`")

    async def signed_in(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
        address = doorkeeper.whose(credentials.credentials) if credentials else None
        if address is None:
            raise RefusedError("sign in first", 401)
        return address

    Caller = Annotated[str, Depends(signed_in)]

    @app.post("/nonces", status_code=201, summary="A nonce to sign in with")
    async def give_nonce() -> Nonce:
        return Nonce(nonce=doorkeeper.nonce())

    @app.post(
        "/tokens",
        status_code=201,
        summary="Sign in",
        responses=_faults(400, 401, 408, 413, 415, 422, 429),
        openapi_extra=documentation.json_body(SignedText.model_json_schema()),
    )
    async def give_token(request: Request) -> Token:
        _check_type(request)
        try:
            signed = SignedText.model_validate_json(await bodies.read(request, bodies.SMALL))
            return Token(token=doorkeeper.sign_in(signed.message, bytes.fromhex(signed.signature[2:])), seconds=TOKEN_SECONDS)
        except ValidationError as error:
            raise RefusedError(_first(error.errors(include_url=False, include_input=False)), 422) from error
        except SignatureError as error:
            raise RefusedError(str(error), 401) from error

    @app.post(
        "/messages",
        status_code=201,
        summary="Hand over a signed message of yours",
        responses={200: {"model": Receipt, "description": "It was here before"}, **_faults(400, 401, 403, 404, 408, 413, 415, 422, 429)},
        openapi_extra=documentation.json_body(documentation.ENVELOPE),
    )
    async def hand_over(
        request: Request,
        response: Response,
        caller: Caller,
        training: Annotated[str, Query(alias="request", max_length=200, description="the training request it belongs to")],
    ) -> Receipt:
        _check_type(request)
        members = await relay.admit(caller, training)
        with relay.speaking(caller):
            data = await bodies.read(request, bodies.LARGE)
            message, new = await relay.pass_on(caller, training, members, data)
        if new:
            metrics.passed_on(message, len(data))
        response.status_code = 201 if new else 200
        return Receipt(new=new)

    @app.get(
        "/messages",
        summary="Your oldest messages, once there are any",
        response_model=Batch,
        responses=_faults(401, 422, 429),
    )
    async def receive(
        request: Request,
        caller: Caller,
        after: Annotated[int, Query(ge=0, lt=1 << 53, description="everything up to this number is taken")] = 0,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait when there is none")] = 0.0,
    ) -> Response:
        answer = await relay.collect(caller, after, wait)
        headers = {"vary": "accept-encoding"}
        if len(answer) >= _COMPRESSED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
            answer = await relay.in_thread(lambda: gzip.compress(answer, compresslevel=1))
            headers["content-encoding"] = "gzip"
        return Response(answer, media_type="application/json", headers=headers)

    @app.put("/owners/me", status_code=204, summary="Offer your data to this aggregator", responses=_faults(401))
    async def register(caller: Caller) -> None:
        await relay.register(caller)

    @app.get("/health", summary="Whether this server runs")
    async def health() -> Health:
        return Health(status="ok", aggregator=relay.address, chain_id=site.chain_id)

    @app.get("/metrics", summary="Counts, for Prometheus", response_class=PlainTextResponse)
    async def count() -> Response:
        return PlainTextResponse(metrics.text())

    if broker is not None:
        _add_broker(app, broker, signed_in)
    documentation.add_page(app)
    return app


def _add_broker(app: FastAPI, broker: Broker, signed_in: Callable[..., Awaitable[str]]) -> None:
    @app.post(
        "/broker",
        status_code=201,
        summary="A pass for this aggregator's broker",
        responses=_faults(400, 401, 408, 413, 415, 422),
        openapi_extra=documentation.json_body(Nkey.model_json_schema()),
    )
    async def admit(request: Request, caller: Annotated[str, Depends(signed_in)]) -> Pass:
        _check_type(request)
        try:
            given = Nkey.model_validate_json(await bodies.read(request, bodies.SMALL))
        except ValidationError as error:
            raise RefusedError(_first(error.errors(include_url=False, include_input=False)), 422) from error
        admission = broker.admit(caller, given.nkey)
        return Pass(url=admission.url, token=admission.token, seconds=admission.seconds)


def _faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Fault, "description": _WORDS[status]} for status in statuses}


def _check_type(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError("a body is sent as Content-Type application/json", 415)


def _first(errors: Any) -> str:
    """Words for the first of pydantic's errors, without what was sent."""
    place = ".".join(str(part) for part in errors[0]["loc"])
    return f"{place}: {errors[0]['msg']}" if place else str(errors[0]["msg"])


def _fault(words: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(canonical.dump({"error": words}), status, headers, "application/json")  # ASCII: words may quote what UTF-8 cannot hold


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _fault(str(error), error.status, {"www-authenticate": "Bearer"} if error.status == 401 else None)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _fault(_first(error.errors()), 422)


async def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _fault(error.detail, error.status_code, dict(error.headers or {}))


async def _gone(_: Request, __: Exception) -> Response:
    return _fault("the connection ended within the body", 400)


async def _broken(_: Request, __: Exception) -> Response:
    return _fault("this server has a fault of its own, which is in its log", 500)
