"""How many replicas of each version run while a rolling rollout replaces them batch by batch.

Nothing is remembered: the numbers follow from the step that is under way and from what is seen, so whoever takes over
in the middle wants the same.
"""

from typing import NamedTuple

from kernel.errors import invalid_field
from modelog.deployment.v1.strategies_pb2 import Amount
from modelog.deployment.v1.types_pb2 import Rolling

_ALL = 100


class Leeway(NamedTuple):
    """surge: replicas above the wanted ones; unavailable: those of the wanted ones that may be missing."""

    surge: int
    unavailable: int


def leeway(rolling: Rolling, replicas: int) -> Leeway:
    """Of `replicas` wanted ones. As in a Deployment of Kubernetes a surge is rounded up, the other down; but one of

    the wanted replicas always stays, for traffic goes to ready replicas only.
    """
    surge = _resolve(rolling.max_surge, replicas, up=True) if rolling.HasField("max_surge") else 1
    missing = _resolve(rolling.max_unavailable, replicas, up=False) if rolling.HasField("max_unavailable") else 0
    return Leeway(surge, min(missing, replicas - 1))


def check_leeway(rolling: Rolling, replicas: int) -> None:
    """Refuses a rolling that could never begin."""
    if sum(leeway(rolling, replicas)) < 1:
        advice = "give max_surge at least 1, or use recreate" if replicas < 2 else "give max_surge or max_unavailable"
        raise invalid_field(
            "strategy.rolling", f"no replica of {replicas} may be added or missing: {advice}", "NO_LEEWAY"
        )


def batches(rolling: Rolling, replicas: int) -> tuple[int, ...]:
    """How many replicas are new after each batch; the last is all of them."""
    size = max(sum(leeway(rolling, replicas)), 1)
    return (*range(size, replicas, size), replicas)


def percent_of(ready: int, replicas: int) -> int:
    """Share of traffic for `ready` of `replicas`, rounded down but for the first percent."""
    return max(_ALL * ready // replicas, 1)


class Batch(NamedTuple):
    """One batch: `before` replicas were new before it, `after` are with it, of `replicas` wanted ones."""

    before: int
    after: int
    replicas: int
    leeway: Leeway

    def needed(self) -> int:
        """New replicas that have to be ready before traffic follows: in the last batch, where nothing can be added,

        one old replica keeps its place until it has no traffic any more.
        """
        return min(self.after, self.replicas + self.leeway.surge - 1)

    def old(self, ready: int, *, serving: bool) -> int:
        """Old replicas wanted while `ready` new ones are ready. serving: the old version still has traffic."""
        enough = self.replicas - self.leeway.unavailable - min(ready, self.after)
        least = max(self.replicas - self.after, int(serving))
        return max(least, min(enough, self.replicas - self.before))

    def new(self, old_present: int) -> int:
        """New replicas wanted while so many old ones are there, those included that are on their way out."""
        return max(self.before, min(self.after, self.replicas + self.leeway.surge - old_present))


def _resolve(amount: Amount, replicas: int, *, up: bool) -> int:
    if amount.WhichOneof("kind") == "count":
        return int(amount.count)
    whole, rest = divmod(int(amount.percent) * replicas, _ALL)
    return whole + int(up and rest > 0)
