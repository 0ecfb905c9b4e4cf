"""Encrypts and decrypts as other implementations do: jwcrypto and joserfc. RSA-OAEP-384 and -512 are known by neither of
them: these are made of the parts that cryptography has, with AES-GCM.

Reads a JSON object from standard input: "keys" (name: private JWK), "content" (a text) and "ours" (a list of tokens with
the names of their keys). Prints a list of [library, alg, enc, key, token] in every combination that the library knows,
and what the libraries have read of "ours".
"""

import json
import os
import sys
import warnings

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import import_key
from jwcrypto import jwe, jwk

warnings.simplefilter("ignore")
given = json.load(sys.stdin)
content = given["content"].encode()
oaep = ["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"]
agreement = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]
kinds = {"RSA": oaep, "EC": agreement, "OKP": agreement}
encryptions = ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"]
lengths = dict(zip(encryptions, [32, 48, 64, 16, 24, 32]))


def fits(key, enc):
    if key["kty"] != "oct":
        return kinds[key["kty"]]
    length = len(key["k"]) * 3 // 4
    bits = str(length * 8)
    wrapping = [f"A{bits}KW", f"A{bits}GCMKW"] if length <= 32 else []
    return wrapping + (["dir"] if lengths[enc] == length else [])


def by_jwcrypto(key, alg, enc):
    token = jwe.JWE(content, json.dumps({"alg": alg, "enc": enc}), algs=[alg, enc])
    token.add_recipient(jwk.JWK(**key))
    return token.serialize(compact=True)


def by_joserfc(key, alg, enc):
    return joserfc_jwe.encrypt_compact({"alg": alg, "enc": enc}, content, import_key(key), algorithms=[alg, enc])


def oaep_of(alg):
    hash = {"RSA-OAEP-384": hashes.SHA384, "RSA-OAEP-512": hashes.SHA512}[alg]
    return padding.OAEP(padding.MGF1(hash()), hash(), None)


def by_parts(key, alg, enc):
    cek, iv = os.urandom(lengths[enc]), os.urandom(12)
    public = jwk.JWK(**key).get_op_key("wrapKey")
    header = jwe.base64url_encode(json.dumps({"alg": alg, "enc": enc}))
    sealed = AESGCM(cek).encrypt(iv, content, header.encode())
    parts = [public.encrypt(cek, oaep_of(alg)), iv, sealed[:-16], sealed[-16:]]
    return ".".join([header] + [jwe.base64url_encode(part) for part in parts])


def read_by_parts(token, key, alg, enc):
    header, *parts = token.split(".")
    encrypted_key, iv, sealed, tag = [jwe.base64url_decode(part) for part in parts]
    cek = jwk.JWK(**key).get_op_key("unwrapKey").decrypt(encrypted_key, oaep_of(alg))
    return AESGCM(cek).decrypt(iv, sealed + tag, header.encode()).decode()


def read_by_jwcrypto(token, key, alg, enc):
    read = jwe.JWE(algs=[alg, enc])
    read.deserialize(token, jwk.JWK(**key))
    return read.payload.decode()


def read_by_joserfc(token, key, alg, enc):
    return joserfc_jwe.decrypt_compact(token, import_key(key), algorithms=[alg, enc]).plaintext.decode()


made, left_out = [], []
for name, key in given["keys"].items():
    for enc in encryptions:
        for alg in fits(key, enc):
            libraries = [("jwcrypto", by_jwcrypto), ("joserfc", by_joserfc)]
            if alg in oaep[2:] and enc.endswith("GCM"):
                libraries.append(("cryptography", by_parts))
            for library, encrypt in libraries:
                try:
                    made.append([library, alg, enc, name, encrypt(key, alg, enc)])
                except Exception as error:
                    left_out.append([library, alg, enc, name, str(error)])
read = []
for token, name in given["ours"]:
    header = json.loads(jwe.base64url_decode(token.split(".")[0]))
    texts = []
    for decrypt in read_by_jwcrypto, read_by_joserfc, read_by_parts:
        try:
            texts.append(decrypt(token, given["keys"][name], header["alg"], header["enc"]))
        except Exception as error:
            texts.append("cannot: " + str(error))
    read.append([header["alg"], header["enc"], *texts])
json.dump({"made": made, "left_out": left_out, "read": read}, sys.stdout)
