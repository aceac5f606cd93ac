"""KeyPackages: what endpoints leave at the router so that others can add them to rooms while they are away."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.router.contract import BadRequest, Refusal, RefusalCode
from bridge.router.grants import Grants
from bridge.router.groups import Groups
from bridge.router.journal import Journal, KeyPackageRecord
from protocol.mls.errors import MlsError

MAX_PUBLISHED = 1000
"""KeyPackages that one call may publish."""


class KeyStore:
    """Takes in KeyPackages after checking whose they are, and hands each out once."""

    def __init__(self, journal: Journal, groups: Groups, grants: Grants) -> None:
        self._journal = journal
        self._groups = groups
        self._grants = grants

    async def publish(
        self, endpoint: str, packages: Sequence[bytes], last_resort: bytes | None, now: int, *, replace: bool = False
    ) -> int:
        """Keep an endpoint's own KeyPackages; raise ``BadRequest`` if any is unsound or somebody else's."""
        if len(packages) > MAX_PUBLISHED:
            raise BadRequest(f"{len(packages)} KeyPackages in one call; {MAX_PUBLISHED} are allowed")
        records = [self._check(endpoint, package, now) for package in packages]
        spare = None if last_resort is None else self._check(endpoint, last_resort, now)
        return await self._journal.publish(endpoint, records, spare, now, replace=replace)

    async def claim(self, target: str, now: int) -> Sequence[bytes] | Refusal:
        """Hand out one KeyPackage of each endpoint that ``target``, an endpoint or a user, stands for."""
        owners = (target,) if self._grants.get(target) is not None else self._grants.speakers(target)
        if not owners:
            return Refusal(RefusalCode.USER_UNKNOWN, f"there is no endpoint {target}, and none speaks for it")
        claimed = [await self._claim_granted(owner, now) for owner in owners]
        packages = [package for package in claimed if package is not None]
        if not packages:
            return Refusal(RefusalCode.KEY_MATERIAL_EXHAUSTED, f"{target} has no KeyPackage left")
        return packages

    async def _claim_granted(self, owner: str, now: int) -> bytes | None:
        """Claim one KeyPackage; what was published before its grant, or whose grant is revoked by now, is passed by."""
        last = None
        while (package := await self._journal.claim(owner, now)) is not None:
            try:
                self._groups.key_package(package, now // 1000)
            except MlsError:
                if package == last:
                    return None  # a last resort, which is there again and again
                last = package
                continue
            return package
        return None

    def _check(self, endpoint: str, package: bytes, now: int) -> KeyPackageRecord:
        try:
            facts = self._groups.key_package(package, now // 1000)
        except MlsError as error:
            raise BadRequest(f"not a usable KeyPackage: {error}") from error
        if facts.endpoint != endpoint:
            raise BadRequest(f"{endpoint} published a KeyPackage of {facts.endpoint}")
        if not self._grants.allows(endpoint, facts.namespaces):
            raise BadRequest(f"{endpoint} may not speak for {', '.join(facts.namespaces)}")
        return KeyPackageRecord(ref=facts.ref, body=package, expires_at=facts.expires_at * 1000)
