"""The keys that this exchange has given out, and whether a signed request is one of theirs (htx-api 10.1).

A counterpart: what a client signs is put together here anew from what arrived, and compared. Words of refusals are the
venue's as reported (huobi_Python #110 the address, ccxt #25931 the time, REST-Python3-demo #4 the signature, the
documents' own FAQ the key; HuobiRDCenter/huobi_Python #126 the contracts' spelling). An expired key is not known any
more, as far as anybody has reported; what is said where a permission is missing is documented nowhere [C].
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .periods import DAY

NO_KEY = "Incorrect Access key [Access key错误]"
NO_SIGNATURE = "Verification failure [校验失败]"
NO_ADDRESS = "Incorrect IP address [IP地址错误]:{}"
NO_TIME = "Invalid submission time or incorrect time format [无效的提交时间，或时间格式错误]"
NO_PERMISSION = "Login is required."
_PATIENCE = 300_000_000  # us that a timestamp may be off


@dataclass(frozen=True)
class ApiKey:
    """A key. `secret` is a secret key, or an Ed25519 public key in PEM. `permission` is a comma list of readOnly, trade
    and withdraw. Without bound `addresses` it lives `valid_days` from `created_at` (us UTC), with them for ever."""

    access: str
    secret: str
    permission: str = "readOnly"
    addresses: tuple[str, ...] = ()
    created_at: int = 0
    valid_days: int = 90
    note: str = "sandbox"

    def days_left(self, now: int) -> int:
        """-1: it does not expire."""
        if self.addresses or not self.created_at:
            return -1
        return max(0, self.valid_days - (now - self.created_at) // DAY)


SANDBOX_KEY = ApiKey("sandbox0-readonly-00000000-00000", "sandbox0-notasecr-et000000-00000")
"""The key that everybody may use: it reads, and nothing more."""


@dataclass(frozen=True)
class Names:
    """How the members of a signature are called: with capitals in REST, without on ws/v2."""

    key: str = "AccessKeyId"
    method: str = "SignatureMethod"
    version: str = "SignatureVersion"
    time: str = "Timestamp"
    signature: str = "Signature"
    versions: tuple[str, ...] = ("2",)
    fold: bool = False
    """Whether names are sorted as a dictionary has them, and not by ASCII."""


REST = Names()
V2 = Names("accessKey", "signatureMethod", "signatureVersion", "timestamp", "signature", ("2.1",))


@dataclass
class Keys:
    """All keys. `refusals` counts what was not let in, by the words of the refusal."""

    known: Mapping[str, ApiKey]
    refusals: dict[str, int] = field(default_factory=dict)
    lent: dict[str, tuple[ApiKey, int]] = field(default_factory=dict)
    """Keys to listen with (hashkey-api 6): whose they are, and until when they are good (us UTC)."""

    lent_seconds: float = 3600.0

    def listens(self, key: str, now: int) -> bool:
        """Whether a key to listen with is good at a time."""
        return key in self.lent and now < self.lent[key][1]

    def judge(
        self, method: str, host: str, path: str, said: Iterable[tuple[str, str]], address: str, now: int,
        names: Names = REST, needs: str = "readOnly",
    ) -> ApiKey | str:  # fmt: skip
        """The key that signed this, or why it is not let in. `said` are all parameters, decoded."""
        found = self._judge(method, host, path, list(said), address, now, names)
        if isinstance(found, ApiKey) and needs not in found.permission.split(","):
            found = NO_PERMISSION
        if isinstance(found, str):
            self.refusals[found] = self.refusals.get(found, 0) + 1
        return found

    def _judge(
        self,
        method: str,
        host: str,
        path: str,
        said: list[tuple[str, str]],
        address: str,
        now: int,
        names: Names,
    ) -> ApiKey | str:
        once = dict(said)
        key = self.known.get(once.get(names.key, ""))
        if key is None or key.days_left(now) == 0:
            return NO_KEY
        if len(once) != len(said) or once.get(names.version) not in names.versions:
            return NO_SIGNATURE
        try:
            moment = datetime.strptime(once.get(names.time, ""), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return NO_TIME
        if abs(moment.timestamp() * 1e6 - now) > _PATIENCE:
            return NO_TIME
        if key.addresses and address not in key.addresses:
            return NO_ADDRESS.format(address)
        signed = sorted((name, value) for name, value in said if name != names.signature)
        if names.fold:
            signed.sort(key=lambda pair: pair[0].lower())
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in signed)
        text = f"{method}\n{host.lower()}\n{path}\n{query}".encode()
        good = _signed(key, once.get(names.method, ""), text, once.get(names.signature, ""))
        return key if good else NO_SIGNATURE


def _signed(key: ApiKey, method: str, text: bytes, signature: str) -> bool:
    try:
        made = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    if key.secret.startswith("-----BEGIN"):
        public = load_pem_public_key(key.secret.encode())
        if method != "Ed25519" or not isinstance(public, Ed25519PublicKey):
            return False
        try:
            public.verify(made, text)
        except InvalidSignature:
            return False
        return True
    wanted = hmac.new(key.secret.encode(), text, hashlib.sha256).digest()
    return method == "HmacSHA256" and hmac.compare_digest(made, wanted)
