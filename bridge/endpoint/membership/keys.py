"""The endpoint's own keys: its identity, its secret, and the KeyPackages that others add it to groups with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog

from bridge.endpoint.ledger.contract import Change, Ledger, Record
from bridge.endpoint.settings import EndpointSettings
from bridge.router.contract import Router
from protocol.mls import Identity, KeyPackageBundle
from protocol.mls.identity import is_last_resort
from protocol.uri import endpoint_uri

ENDPOINT = "endpoint"
"""The ledger's space for what there is one of."""

_KEY_PACKAGES = "key-package"
_LAST_RESORT = "last-resort"
_UNCLAIMED = 20
_BATCH = 24
_LIFETIME_S = 90 * 86_400
_RENEW_S = 30 * 86_400
_REPLACED_S = 7 * 86_400  # how long a Welcome for a last resort that was replaced may still be on its way
_EXPIRED_S = 86_400  # how long one for a KeyPackage that has expired may be

Random = Callable[[int], bytes]
Clock = Callable[[], int]

log = structlog.get_logger(__name__)


class Keys:
    """Identity, secret and KeyPackages, kept in the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, random: Random) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._bundles: dict[bytes, KeyPackageBundle] = {}
        self._drawn: set[bytes] = set()
        self._last_resort = b""
        self._low = asyncio.Event()
        self.identity: Identity
        self.secret = b""

    async def load(self, settings: EndpointSettings) -> None:
        """Read the keys, or make them at the first start."""
        identity = await self._ledger.get(ENDPOINT, "identity")
        if identity is None:
            await self._make(settings)
        else:
            self.identity = Identity.from_bytes(identity)
            self.secret = await self._ledger.get(ENDPOINT, "secret") or b""
        for name, value in await self._ledger.scan(_KEY_PACKAGES):
            self._bundles[bytes.fromhex(name)] = KeyPackageBundle.from_bytes(value)
        self._last_resort = await self._ledger.get(ENDPOINT, _LAST_RESORT) or b""

    async def _make(self, settings: EndpointSettings) -> None:
        self.identity = Identity.generate(
            endpoint_uri(settings.domain, settings.name),
            leg=settings.leg,
            namespaces=settings.namespaces,
            random=self._random,
        )
        self.secret = self._random(32)
        records: list[Record] = [
            (ENDPOINT, "identity", self.identity.to_bytes()),
            (ENDPOINT, "secret", self.secret),
        ]
        await self._ledger.commit(Change(records=records))

    async def publish(self, router: Router) -> None:
        """See to it that others can claim enough KeyPackages, and a last resort. Raises ``RouterUnavailable``."""
        made: list[KeyPackageBundle] = []
        last_resort = await self._fresh_last_resort()
        await self._forget_old()
        unclaimed = await router.publish((), last_resort=None if last_resort is None else last_resort.message)
        if unclaimed < _UNCLAIMED:
            made = [self._generate() for _ in range(_BATCH)]
            await self._ledger.commit(Change(records=[_record(bundle) for bundle in made]))
            unclaimed = await router.publish([bundle.message for bundle in made])
        log.info("key packages published", fresh=len(made), unclaimed=unclaimed)

    async def _fresh_last_resort(self) -> KeyPackageBundle | None:
        """Return a new last resort if the one there is has grown old."""
        made_at = await self._ledger.get(ENDPOINT, _LAST_RESORT + "-at")
        now = self._clock() // 1000
        if self._last_resort and made_at is not None and now - int(made_at) < _RENEW_S:
            return self._bundles.get(self._last_resort)
        bundle = self._generate(last_resort=True)
        records: list[Record] = [
            _record(bundle),
            (ENDPOINT, _LAST_RESORT, bundle.ref),
            (ENDPOINT, _LAST_RESORT + "-at", str(now).encode()),
        ]
        await self._ledger.commit(Change(records=records))
        self._last_resort = bundle.ref
        return bundle

    async def _forget_old(self) -> None:
        """Delete the private keys of KeyPackages that are of no use any more: expired, or replaced for days."""
        now = self._clock() // 1000
        replaced_at = int(await self._ledger.get(ENDPOINT, _LAST_RESORT + "-at") or now)
        old = [
            ref
            for ref, bundle in self._bundles.items()
            if _not_after(bundle) + _EXPIRED_S < now
            or (is_last_resort(bundle.package) and ref != self._last_resort and replaced_at + _REPLACED_S < now)
        ]
        if not old:
            return
        await self._ledger.commit(Change(records=[(_KEY_PACKAGES, ref.hex(), None) for ref in old]))
        for ref in old:
            self._bundles.pop(ref, None)
            self._drawn.discard(ref)
        log.info("private keys of old key packages deleted", count=len(old))

    def _generate(self, *, last_resort: bool = False) -> KeyPackageBundle:
        bundle = KeyPackageBundle.generate(
            self.identity,
            now=self._clock() // 1000,
            random=self._random,
            lifetime=_LIFETIME_S,
            last_resort=last_resort,
        )
        self._bundles[bundle.ref] = bundle
        self._drawn.add(bundle.ref)
        return bundle

    @property
    def bundles(self) -> tuple[KeyPackageBundle, ...]:
        """Every KeyPackage a Welcome may be for."""
        return tuple(self._bundles.values())

    async def needed(self, timeout: float) -> None:  # noqa: ASYNC109 - it is the longest that it may take
        """Wait until it is time to ``publish`` again: a KeyPackage was used, or ``timeout`` seconds have passed."""
        self._low.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._low.wait()

    def spend(self, ref: bytes) -> list[Record]:
        """Forget the KeyPackage that a Welcome has used, unless it is a last resort; return what to write."""
        self._low.set()
        if self._is_last_resort(ref):
            return []
        self._bundles.pop(ref, None)
        self._drawn.discard(ref)
        return [(_KEY_PACKAGES, ref.hex(), None)]

    def fresh(self, refs: Iterable[bytes]) -> bool:
        """Whether a Welcome for these KeyPackages is for one that this session drew, and that nothing has used yet."""
        return any(ref in self._drawn for ref in refs)

    def _is_last_resort(self, ref: bytes) -> bool:
        return ref == self._last_resort


def _not_after(bundle: KeyPackageBundle) -> int:
    lifetime = bundle.package.leaf.content.lifetime
    return 0 if lifetime is None else lifetime.not_after


def _record(bundle: KeyPackageBundle) -> Record:
    return (_KEY_PACKAGES, bundle.ref.hex(), bundle.to_bytes())
