"""How often comparisons are wrong, computed exactly: `python -m tests.deployment.judging` prints the guide's tables."""

from services.deployment.domain.comparison import Tolerance, share_of
from tests.deployment.test_comparison import chance_of_failing, rollouts_failed

_ALPHA = 0.05
_SIZES = ((100, 900), (500, 4500), (2000, 18000))
_RUNNING = 0.01
_NEW = (0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
_TOLERANCES = (Tolerance(), Tolerance(1.0, 0.005), Tolerance(2.0, 0.0))


def main() -> None:
    alpha = share_of(_ALPHA, comparisons=1, steps=1, window=1, early=False)
    print(
        f"chance that the end of the first window (alpha {alpha:g}) finds the new version worse, running {_RUNNING:.1%}"
    )
    print("| requests new + running | tolerance | " + " | ".join(f"{rate:.1%}" for rate in _NEW) + " |")
    for new, running in _SIZES:
        for tolerance in _TOLERANCES:
            found = chance_of_failing(new, running, tolerance, alpha, [(rate, _RUNNING) for rate in _NEW])
            told = " | ".join(f"{chance:.4f}" if chance < alpha else f"{chance:.2f}" for chance in found)
            print(f"| {new} + {running} | x {tolerance.ratio:g} + {tolerance.difference:g} | {told} |", flush=True)
    print("share of simulated rollouts (two steps, three windows each, four looks a window) that went back, alpha 0.1")
    for rate in (0.005, 0.05, 0.3):
        print(f"| {rate:.1%} | {rollouts_failed(2000, rate, rate, 0.1, seed=9):.4f} |", flush=True)


if __name__ == "__main__":
    main()
