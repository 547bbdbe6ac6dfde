"""Where the servers are and how to be let in: the address, the options, and what becomes of them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import msgspec

from synchromesh.log.agreement import LogError

DEFAULT_PORT: Final = 4222
_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be said about a log on NATS beside its address."""

    stream: str = "SYNCHROMESH"
    """The stream that holds the log, one for each installation; its subjects begin with this name. Without it the installation's name in
    capitals."""

    replicas: int = 0
    """On how many servers of the cluster each message is, 1, 3 or 5. 0 means 3 on a cluster and 1 where the server is alone; a single
    replica is lost with its disk. Only used when the stream is made."""

    room: int = 0
    """How many bytes the stream may have on a server's disk; beyond them appends are refused until something is trimmed. 0 means as much as
    the server allows. Only used when the stream is made."""

    mirror: str = ""
    """Read from this mirror of the stream instead of the stream itself. Nothing can be appended then."""

    patience: int = 10
    """Seconds after which an operation gives up when no server answers."""

    user: str = ""
    """The user to log in as, when the address names none."""

    password: str = ""
    """The user's password."""

    token: str = ""
    """The token to log in with, on servers that ask for one."""

    credentials: str = ""
    """The absolute path of a file with a user's credentials (JWT and seed), on servers that ask for one."""

    ca: str = ""
    """The absolute path of the certificates of the authorities that vouch for the servers'. Without it those of this system."""

    certificate: str = ""
    """The absolute path of this program's own certificate, where the servers ask for one."""

    key: str = ""
    """The absolute path of the key of `certificate`."""


class Access(msgspec.Struct, frozen=True):
    """Servers to choose from, and what they are told."""

    servers: tuple[str, ...]
    """`scheme://host:port` of each, without user and password."""
    user: str
    password: str
    options: Options

    @property
    def encrypted(self) -> bool:
        """Whether nothing may be said in the clear."""
        return self.servers[0].startswith("tls:")

    @property
    def name(self) -> str:
        """How errors call the place, without secrets."""
        return f"stream {self.options.mirror or self.options.stream} at {','.join(self.servers)}"

    @classmethod
    def of(cls, address: str, options: Options) -> Self:
        """Read `nats://user:password@host:port,host:port`; `tls://` where nothing may be said in the clear. Raises `LogError`."""
        _check(options)
        try:
            parts = urlsplit(address)
            login, _, hosts = parts.netloc.rpartition("@")
            if parts.scheme not in ("nats", "tls") or parts.path.strip("/") or parts.query or parts.fragment or not hosts:
                raise ValueError("it has another form")
            servers = tuple(_server(parts.scheme, host) for host in hosts.split(","))
        except ValueError as error:
            raise LogError(
                f"the log's address is none ({error}); write nats://host:{DEFAULT_PORT}, or tls://host:{DEFAULT_PORT} to encrypt; "
                "further  servers of the cluster follow with commas"
            ) from error
        user, _, password = login.partition(":")
        return cls(servers, unquote(user) or options.user, unquote(password) or options.password, options)

    def login(self, secure: Callable[[], bool]) -> dict[str, Any]:
        """The words of the client's `connect` that prove who we are. Secrets are not said before `secure` says that nobody listens."""
        told: dict[str, Any] = {}
        if self.user:
            told["user"] = _guarded(self.user, secure)
            told["password"] = _guarded(self.password, secure)
        if self.options.token:
            told["token"] = _guarded(self.options.token, secure)
        if self.options.credentials:
            told["user_credentials"] = self.options.credentials
        return told

    def tls(self) -> ssl.SSLContext:
        """How encrypted lines are checked. Raises `LogError` naming a file that can't be used."""
        options = self.options
        try:
            context = ssl.create_default_context(cafile=options.ca or None)
            if options.certificate:
                context.load_cert_chain(options.certificate, options.key or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(file for file in (options.ca, options.certificate, options.key) if file)
            raise LogError(
                f"the certificates for {self.name} can't be used ({files}: {error}); check `ca`, `certificate` and `key`"
            ) from error
        return context


class Exposed(Exception):
    """The line would carry a secret in the clear."""


def _guarded(secret: str, secure: Callable[[], bool]) -> Callable[[], str]:
    def tell() -> str:
        if not secure():
            raise Exposed
        return secret

    return tell


def _server(scheme: str, host: str) -> str:
    parts = urlsplit(f"{scheme}://{host}")
    if not parts.hostname:
        raise ValueError(f"{host!r} is no host")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{name}:{parts.port or DEFAULT_PORT}"


def _check(options: Options) -> None:
    for key in ("stream", "mirror"):
        name = getattr(options, key)
        if not _STREAM.fullmatch(name) and (name or key == "stream"):
            raise LogError(f"`{key} = {name!r}` can't be a stream's name; use 1 to 64 letters, digits, - and _")
    if options.replicas not in (0, 1, 3, 5):
        raise LogError(f"`replicas = {options.replicas}` is not possible; set 1, 3 or 5, or 0 to let the cluster decide")
    if options.patience < 1 or options.room < 0:
        raise LogError("`patience` must be at least 1 second and `room` can't be negative")
    if options.credentials and not Path(options.credentials).is_file():
        raise LogError(f"there is no file {options.credentials}; `credentials` names the file that the operator of the servers gave you")
