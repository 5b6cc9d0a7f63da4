"""The HTTP client of the emulator's control, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any, Callable, Dict, Mapping, Optional
from urllib.parse import quote, urlencode, urlsplit

from .view import view


class ControlError(Exception):
    """The emulator refused a request; the text is its own.

    ``status`` is the HTTP status, ``code`` the emulator's word for the error.
    """

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Client:
    """Requests to one emulator. May be used by several threads."""

    def __init__(
        self,
        url: str,
        token: str,
        on_lost: Callable[[BaseException], BaseException],
        timeout: float = 60.0,
    ) -> None:
        """``on_lost`` makes the error to raise when the emulator cannot be reached."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError(f"not a control URL: {url!r}")
        self._host, self._port = parts.hostname, parts.port
        self._token = token
        self._timeout = timeout
        self._on_lost = on_lost
        self._local = threading.local()

    def get(self, path: str, query: Optional[Mapping[str, Any]] = None) -> Any:
        """Reads ``/api/v1/{path}``."""
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        return self._ask("GET", path + ("?" + urlencode(asked) if asked else ""), None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Posts to ``/api/v1/{path}``."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Any:
        """Deletes ``/api/v1/{path}``."""
        return self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, body: Optional[Mapping[str, Any]]) -> Any:
        headers: Dict[str, str] = {"Authorization": "Bearer " + self._token}
        data = None
        if body is not None:
            data = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = "application/json"
        target = "/api/v1/" + quote(path, safe="/?&=%+")
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            try:
                return self._answer(connection, method, target, data, headers)
            except http.client.RemoteDisconnected:
                # An idle connection was closed before it took the request: a new one is tried.
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._local.connection = None
                raise self._on_lost(error) from error
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._local.connection = connection
        try:
            return self._answer(connection, method, target, data, headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._local.connection = None
            raise self._on_lost(error) from error

    @staticmethod
    def _answer(
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        data: Optional[bytes],
        headers: Dict[str, str],
    ) -> Any:
        connection.request(method, target, body=data, headers=headers)
        response = connection.getresponse()
        text = response.read()
        value = json.loads(text.decode("utf-8")) if text else {}
        if response.status >= 400:
            error = value if isinstance(value, dict) else {}
            message = error.get("error") or f"{response.status} {response.reason}"
            raise ControlError(str(message), response.status, str(error.get("code", "")))
        return view(value)
