"""The endpoint's own keys: its identity and grant, its secret, and the KeyPackages that others add it to groups with.

The signature key is drawn once and outlives its grants. What the leaves say beside it, leg class and namespaces, is
what the configuration says now: at each start the grant for it is found or asked for, and the next commit in each room
carries it. KeyPackages that say something older are replaced at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog

from bridge.authority import Granter, OperatorAuthority, Wanted, mark_of
from bridge.endpoint.errors import LedgerError
from bridge.endpoint.ledger.contract import Change, Ledger, Record
from bridge.endpoint.settings import EndpointSettings
from bridge.router.contract import Router
from protocol.grant import SignedGrant
from protocol.mls import Group, Identity, KeyPackageBundle, MlsError
from protocol.mls.authority import admit, name_of
from protocol.mls.identity import is_last_resort
from protocol.mls.messages import key_package_of
from protocol.uri import endpoint_uri

ENDPOINT = "endpoint"
"""The ledger's space for what there is one of."""

_KEY_PACKAGES = "key-package"
_REPLACED = "replaced-key-package"
_BORNE = "borne-leaf"
_GRANTED_SINCE = "granted-since"
_LAST_RESORT = "last-resort"
_UNCLAIMED = 20
_BATCH = 24
_LIFETIME_S = 90 * 86_400
_RENEW_S = 30 * 86_400
_REPLACED_S = 7 * 86_400  # how long a Welcome for a KeyPackage that was replaced may still be on its way
_EXPIRED_S = 86_400  # how long one for a KeyPackage that has expired may be

Random = Callable[[int], bytes]
Clock = Callable[[], int]

log = structlog.get_logger(__name__)


class Keys:
    """Identity, secret and KeyPackages, kept in the ledger.

    ``authority`` judges the leaves of others, ``granter`` gives ours its grant; without them, as in rooms among
    nobody but friends, all leaves are believed.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        *,
        authority: OperatorAuthority | None = None,
        granter: Granter | None = None,
    ) -> None:
        self.authority = authority
        self._granter = granter
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._bundles: dict[bytes, KeyPackageBundle] = {}
        self._drawn: set[bytes] = set()
        self._replaced: dict[bytes, int] = {}
        """KeyPackages that are handed out no more, and since when, in seconds since 1970."""
        self._last_resort = b""
        self._low = asyncio.Event()
        self.identity: Identity
        self.secret = b""

    async def check_owner(self, settings: EndpointSettings) -> None:
        """Raise ``LedgerError`` for another endpoint's ledger: to be asked before anything is written into it."""
        identity = await self._ledger.get(ENDPOINT, "identity")
        ours = endpoint_uri(settings.domain, settings.name)
        if identity is not None and (theirs := Identity.from_bytes(identity).uri) != ours:
            raise LedgerError(
                f"this is the ledger of {theirs}, not of {ours}: "
                "an endpoint's name and domain stand in its leaves and stay what they are"
            )

    async def load(self, settings: EndpointSettings) -> None:
        """Read the keys, or make them at the first start; see to it that our leaves say what the settings say.

        Raises ``NotGrantedError`` if there is no grant for that.
        """
        identity = await self._ledger.get(ENDPOINT, "identity")
        if identity is None:
            await self._make(settings)
        else:
            self.identity = Identity.from_bytes(identity)
            self.secret = await self._ledger.get(ENDPOINT, "secret") or b""
        await self._be_granted(settings)
        await self._remember_borne(settings)
        for name, value in await self._ledger.scan(_KEY_PACKAGES):
            self._bundles[bytes.fromhex(name)] = KeyPackageBundle.from_bytes(value)
        self._replaced = {bytes.fromhex(name): int(at) for name, at in await self._ledger.scan(_REPLACED)}
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

    async def _be_granted(self, settings: EndpointSettings) -> None:
        if self._granter is None:
            return
        wanted = Wanted(
            name=settings.name,
            uri=self.identity.uri,
            public=self.identity.public,
            leg=settings.leg,
            namespaces=tuple(settings.namespaces),
        )
        grant = self._granter.grant(wanted, _held(self.identity))
        granted = self.identity.saying(settings.leg, settings.namespaces, grant)
        if granted.to_bytes() != self.identity.to_bytes():
            log.info("granted", endpoint=wanted.uri, number=grant.grant.number, leg=int(settings.leg))
            await self._ledger.commit(Change(records=[(ENDPOINT, "identity", granted.to_bytes())]))
            self.identity = granted

    async def _remember_borne(self, settings: EndpointSettings) -> None:
        since = await self._ledger.get(ENDPOINT, _GRANTED_SINCE)
        if self.authority is not None and since is not None:
            marks = [bytes.fromhex(name) for name, _ in await self._ledger.scan(_BORNE)]
            self.authority.bear(marks, int(since) + int(settings.grace * 1000))

    async def bear(self, groups: Iterable[Group], settings: EndpointSettings) -> bool:
        """At the first start with an authority, bear the leaves without a grant that our rooms have already; return
        whether this was that start.

        They are borne as they are, by signature key and claim, for ``settings.grace`` seconds and in no other shape.
        """
        if self.authority is None or await self._ledger.get(ENDPOINT, _GRANTED_SINCE) is not None:
            return False
        leaves = [leaf for group in groups for _, leaf in group.view.tree.leaves()]
        marks = {mark_of(leaf) for leaf in leaves}
        records: list[Record] = [(_BORNE, mark.hex(), b"1") for mark in sorted(marks)]
        records.append((ENDPOINT, _GRANTED_SINCE, str(self._clock()).encode()))
        await self._ledger.commit(Change(records=records))
        await self._remember_borne(settings)
        return True

    def sound(self, endpoint: str, packages: Iterable[bytes]) -> list[bytes]:
        """Return those of the KeyPackages, handed out for ``endpoint``, that are its own and that it is granted.

        The others are what a router would hand out that wants to be in the room itself: they are shown.
        """
        flaws = [(package, self._flaw(endpoint, package)) for package in packages]
        for _, flaw in flaws:
            if flaw:
                log.error("the router handed out a key package that is not to be trusted", endpoint=endpoint, flaw=flaw)
        return [package for package, flaw in flaws if not flaw]

    def _flaw(self, endpoint: str, package: bytes) -> str:
        try:
            leaf = key_package_of(package).leaf
            if name_of(leaf) != endpoint:
                return f"it is {name_of(leaf)[:200]}'s"
            admit(self.authority, (leaf,))
        except MlsError as error:
            return f"{error.code}: {error}"
        return ""

    async def replace(self, router: Router) -> None:
        """Have the router hand out none of those it had, for they may be spent. Raises ``RouterUnavailable``."""
        former = [ref for ref in self._bundles if ref not in self._replaced]
        spare = await self._fresh_last_resort(renew=True)
        made = await self._make_batch()
        last_resort = None if spare is None else spare.message
        await router.publish([one.message for one in made], last_resort=last_resort, replace=True)
        await self._replace(former)
        log.warning("key packages replaced", fresh=len(made))

    async def publish(self, router: Router) -> None:
        """See to it that others can claim enough KeyPackages, and a last resort, that say what we say now.

        Raises ``RouterUnavailable``.
        """
        await self._forget_old()
        outdated = self._outdated()
        made: list[KeyPackageBundle] = []
        last_resort = await self._fresh_last_resort(renew=bool(outdated))
        spare = None if last_resort is None else last_resort.message
        if outdated:
            made = await self._make_batch()
            unclaimed = await router.publish([one.message for one in made], last_resort=spare, replace=True)
            await self._replace(outdated)
        else:
            unclaimed = await router.publish((), last_resort=spare)
        if unclaimed < _UNCLAIMED:
            made = await self._make_batch()
            unclaimed = await router.publish([one.message for one in made])
        log.info("key packages published", fresh=len(made), unclaimed=unclaimed, replaced=len(outdated))

    async def _make_batch(self) -> list[KeyPackageBundle]:
        made = [self._generate() for _ in range(_BATCH)]
        await self._ledger.commit(Change(records=[_record(bundle) for bundle in made]))
        return made

    def _outdated(self) -> list[bytes]:
        """Return the references of the KeyPackages that say something else of us than our leaves do now."""
        says = self.identity.extensions
        return [
            ref
            for ref, bundle in self._bundles.items()
            if ref not in self._replaced and bundle.package.leaf.content.extensions != says
        ]

    async def _replace(self, refs: Iterable[bytes]) -> None:
        """Note that these KeyPackages are handed out no more: their keys go once no Welcome can be on its way."""
        now = self._clock() // 1000
        self._replaced |= dict.fromkeys(refs, now)
        records: list[Record] = [(_REPLACED, ref.hex(), str(now).encode()) for ref in refs]
        await self._ledger.commit(Change(records=records))

    async def _forget_old(self) -> None:
        """Delete the private keys of KeyPackages that are of no use any more: expired, or replaced for days."""
        now = self._clock() // 1000
        replaced_at = int(await self._ledger.get(ENDPOINT, _LAST_RESORT + "-at") or now)
        old = [
            ref
            for ref, bundle in self._bundles.items()
            if _not_after(bundle) + _EXPIRED_S < now
            or self._replaced.get(ref, now) + _REPLACED_S < now
            or (is_last_resort(bundle.package) and ref != self._last_resort and replaced_at + _REPLACED_S < now)
        ]
        if not old:
            return
        records: list[Record] = [(space, ref.hex(), None) for ref in old for space in (_KEY_PACKAGES, _REPLACED)]
        await self._ledger.commit(Change(records=records))
        for ref in old:
            self._bundles.pop(ref, None)
            self._replaced.pop(ref, None)
            self._drawn.discard(ref)
        log.info("private keys of old key packages deleted", count=len(old))

    async def _fresh_last_resort(self, *, renew: bool) -> KeyPackageBundle | None:
        """Return a new last resort if the one there is has grown old, or is to be renewed."""
        made_at = await self._ledger.get(ENDPOINT, _LAST_RESORT + "-at")
        now = self._clock() // 1000
        known = self._bundles.get(self._last_resort)
        if known is not None and not renew and made_at is not None and now - int(made_at) < _RENEW_S:
            return known
        bundle = self._generate(last_resort=True)
        records: list[Record] = [
            _record(bundle),
            (ENDPOINT, _LAST_RESORT, bundle.ref),
            (ENDPOINT, _LAST_RESORT + "-at", str(now).encode()),
        ]
        await self._ledger.commit(Change(records=records))
        self._last_resort = bundle.ref
        return bundle

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


def _held(identity: Identity) -> SignedGrant | None:
    try:
        return identity.grant
    except MlsError:  # of a version that this program does not read: another is asked for
        return None
