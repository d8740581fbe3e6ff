"""What a servicer's method knows besides the request, and the cause of the command that the request asks for."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernel import telemetry
from kernel.cause import Cause
from kernel.erasable import without_texts
from kernel.identity import Authority, Caller, Permit

_MOST_ID_CHARACTERS = 128


@dataclass(slots=True)
class Context:
    """What a servicer's method knows besides the request. now: aware, UTC."""

    caller: Caller
    request: Any
    method: str
    now: datetime
    metadata: Mapping[str, str]
    authority: Authority
    permit: Permit = field(default_factory=Permit)
    _request_id: str = ""

    async def may(self, permission: str, resource: str) -> bool:
        """Whether the caller has a permission on one resource besides those the request names."""
        return await self.authority.may(self.caller, permission, resource)

    @property
    def request_id(self) -> str:
        """The caller's, or one made for this call."""
        if not self._request_id:
            self._request_id = getattr(self.request, "request_id", "") or uuid.uuid4().hex
        return self._request_id

    def cause(self) -> Cause:
        """The cause of the command this request asks for."""
        request = self.request
        bare = without_texts(request)
        return Cause(
            actor=self.caller.principal,
            request_id=self.request_id,
            request_digest=self._digest(bare),
            whole_digest=b"" if bare is request else self._digest(request),
            now=self.now,
            reason=getattr(request, "reason", ""),
            on_behalf_of=self.caller.on_behalf_of,
            correlation_id=self.metadata.get("x-correlation-id", "")[:_MOST_ID_CHARACTERS] or self.request_id,
            causation_id=self.metadata.get("x-causation-id", "")[:_MOST_ID_CHARACTERS],
            traceparent=telemetry.traceparent(),
            etag=getattr(request, "etag", ""),
            validate_only=getattr(request, "validate_only", False),
            reads=self.permit.reads,
            check=self.permit.check,
        )

    def _digest(self, request: Any) -> bytes:
        encoded: bytes = request.SerializeToString(deterministic=True)
        return hashlib.sha256(self.method.encode() + b"\0" + encoded).digest()
