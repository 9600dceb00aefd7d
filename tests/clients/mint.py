"""Mints a token of each algorithm with PyJWT, and publishes the keys as PyJWT writes them: python mint.py DIRECTORY"""

import json
import pathlib
import secrets
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

directory = pathlib.Path(sys.argv[1], "pyjwt")
directory.mkdir(parents=True, exist_ok=True)
rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
private_keys = {
    **{name: rsa_key for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    **{name: secrets.token_bytes(64) for name in ("HS256", "HS384", "HS512")},
}
now = int(time.time())
claims = {
    "iss": "pyjwt",
    "sub": "alice",
    "aud": ["https://other.example", "https://api.example"],
    "iat": now,
    "nbf": now,
    "exp": now + 600,
    "scope": "read write",
    "name": "Zoë",
}
for algorithm, key in private_keys.items():
    key_id = f"pyjwt {algorithm}"
    public_key = key if isinstance(key, bytes) else key.public_key()
    jwk = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public_key))
    (directory / f"{algorithm}.jwk").write_text(json.dumps({**jwk, "kid": key_id, "alg": algorithm}))
    token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})
    (directory / f"{algorithm}.jwt").write_text(token)
