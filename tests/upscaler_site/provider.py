"""An OpenID Connect provider over real HTTP, with signed tokens, that lies when it is asked to."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "upscaler", "s3cret-of-the-client"
_KID = "key-1"


class Provider:
    """One issuer with one user, who is logged in there already; ``claims`` is what it says of that user.

    :ivar lie: changes a token's claims before it is signed; :ivar sign: signs them; :ivar userinfo: claims that the
        user information says instead.
    """

    def __init__(self, address: str) -> None:
        self.issuer = address
        self.described_as = address
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict[str, Any] = {}
        self.begun: dict[str, dict[str, str]] = {}  # what the log-in of each code asked for
        self.truth()

    def truth(self) -> None:
        """Tell no lies any more."""
        self.lie: Any = lambda claims: claims
        self.sign: Any = lambda claims: jwt.encode(claims, self.key, "RS256", headers={"kid": _KID})
        self.userinfo: dict[str, Any] = {}
        self.described_as = self.issuer

    def description(self) -> dict[str, Any]:
        paths = {
            "authorization_endpoint": "auth",
            "token_endpoint": "token",
            "userinfo_endpoint": "me",
            "jwks_uri": "jwks",
        }
        return {"issuer": self.described_as, **{name: f"{self.issuer}/{path}" for name, path in paths.items()}}

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": _KID, "use": "sig", "alg": "RS256"}]}

    def begin(self, asked: dict[str, str]) -> str:
        """Return where the browser goes with a code."""
        code = secrets.token_urlsafe(16)
        self.begun[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, given: dict[str, str]) -> dict[str, Any] | None:
        """Return the tokens for a code, once, to the client who began and has the verifier of its challenge."""
        asked = self.begun.pop(given.get("code", ""), None)
        if asked is None or (given["client_id"], given["client_secret"]) != (CLIENT, SECRET):
            return None
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked["code_challenge_method"] != "S256" or asked["code_challenge"] != challenge:
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }
        return {"access_token": "of-the-user", "token_type": "Bearer", "id_token": self.sign(self.lie(claims))}


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/.well-known/openid-configuration":
            self._json(self.provider.description())
        elif address.path == "/jwks":
            self._json(self.provider.keys())
        elif address.path == "/me":
            allowed = self.headers.get("Authorization") == "Bearer of-the-user"
            self._json({**self.provider.claims, **self.provider.userinfo} if allowed else {}, 200 if allowed else 401)
        elif address.path == "/auth":
            self.send_response(302)
            self.send_header("Location", self.provider.begin(dict(parse_qsl(address.query))))
            self.end_headers()
        else:
            self._json({}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        tokens = self.provider.token(dict(parse_qsl(body)))
        self._json(tokens or {"error": "invalid_grant"}, 200 if tokens else 400)

    def _json(self, shape: Any, status: int = 200) -> None:
        body = json.dumps(shape).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running() -> Iterator[Provider]:
    """Run a provider at an address of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"provider": provider})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
