"""Verifies tokens as other implementations do: PyJWT, jwcrypto, joserfc.

Reads a JSON object from standard input: "set" (a JWK Set), "secret" (base64url), "tokens" (name: token) and
"full" (name: token in the flattened JSON serialization). Prints what each library has read.
"""

import base64
import json
import sys

import jwt
from joserfc import jws as joserfc_jws
from joserfc.jwk import KeySet
from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jws import JWS

given = json.load(sys.stdin)
# PyJWT and joserfc read ML-DSA keys in no released version.
known = [key for key in given["set"]["keys"] if key["kty"] != "AKP"]
secret = JWK(kty="oct", k=given["secret"])
secret_bytes = base64.urlsafe_b64decode(given["secret"] + "==")
algorithms = "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split()
published = jwt.PyJWKSet.from_dict({"keys": known})
jwcrypto_set = JWKSet.from_json(json.dumps({"keys": known}))
joserfc_set = KeySet.import_key_set({"keys": known})
read = {}
for name, token in given["tokens"].items():
    header = jwt.get_unverified_header(token)
    symmetric = header["alg"].startswith("HS")
    by_pyjwt = secret_bytes if symmetric else published[header["kid"]]
    claims = jwt.decode(token, by_pyjwt, algorithms=[header["alg"]], options={"require": ["exp", "iat"]})
    other = JWS()
    other.allowed_algs = algorithms
    other.deserialize(token)
    other.verify(secret if symmetric else jwcrypto_set.get_key(header["kid"]))
    assert json.loads(other.payload) == claims, name
    if not symmetric:
        third = joserfc_jws.deserialize_compact(token, joserfc_set, algorithms=algorithms)
        assert json.loads(third.payload) == claims, name
    read[name] = claims
for name, token in given["full"].items():
    full = JWS()
    full.allowed_algs = algorithms
    full.deserialize(token)
    full.verify(jwcrypto_set.get_key(json.loads(token and full.objects["protected"])["kid"]))
    read[name] = json.loads(full.payload)
json.dump(read, sys.stdout)
