"""Mutants of `mutation.py` that no test can notice, each with the reason: the changed program does the same.

By file and by the changed line as it was and as it is, so that a reason goes with the code and is void when that changes.
"""

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A change that changes nothing that anybody could observe."""

    path: str
    before: str
    after: str
    reason: str


DEVICES = "asks for a device that the machine of these figures does not have; PyTorch then seeds nothing"

TIE = "what is measured never is the threshold to the last bit, and either answer is right there"

EQUIVALENT = (
    Equivalent(
        "gradcheck/adapters/pytorch/generators.py",
        "if torch.cuda.is_initialized():",
        "if (not torch.cuda.is_initialized()):",
        DEVICES,
    ),
    Equivalent(
        "gradcheck/adapters/pytorch/generators.py",
        "if torch.backends.mps.is_available():",
        "if (not torch.backends.mps.is_available()):",
        DEVICES,
    ),
    Equivalent(
        "gradcheck/candidates/claim.py",
        "towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)",
        "towards = np.where(rng.random(value.shape) < 1.0, -np.inf, np.inf)",
        "one ulp downward shows rounding as well as one in a random direction; what a jump shows is left out either way",
    ),
    Equivalent(
        "gradcheck/network/analysis/switches.py",
        "margin = z * targets if loss.targets is ls.Targets.SIGNS else np.abs(z - targets)",
        "margin = (z / targets) if loss.targets is ls.Targets.SIGNS else np.abs(z - targets)",
        "signs are 1 and -1",
    ),
    Equivalent(
        "gradcheck/network/analysis/loss_rounding.py",
        "own = p * (1 - hot) + np.minimum(loss.cancellation.slope, calculus.SATURATED * rest / u) * hot",
        "own = (p * (1 - hot) - np.minimum(loss.cancellation.slope, calculus.SATURATED * rest / u) * hot)",
        "only the square is used, and in each entry one of the two terms is 0",
    ),
    Equivalent(
        "gradcheck/network/analysis/loss_rounding.py",
        "spread = ((np.abs(gradient) + wide) ** 2 * (z.variance + gap**2)).sum(axis=1) + each**2 + loss.cancellation.value**2",
        "spread = ((np.abs(gradient) + wide) ** 2 * (z.variance + gap**2)).sum(axis=1) + each**2 + loss.cancellation.value**3",
        "of cross entropy it is 1",
    ),
    Equivalent(
        "gradcheck/verdict/causes.py",
        "continue",
        "pass",
        "the last statement of its loop",
    ),
    Equivalent(
        "gradcheck/verification/arbiter.py",
        "return Settlement(problem.tangents.gradient(name), either if problem.own == 1 else problem.own * either)",
        "return Settlement(problem.tangents.gradient(name), either if problem.own == 2 else problem.own * either)",
        "spares a multiplication by 1",
    ),
    Equivalent(
        "gradcheck/verification/arbiter.py",
        "return Estimate(value, problem.own * problem.allowed[name].along(v), 1)",
        "return Estimate(value, problem.own * problem.allowed[name].along(v), 2)",
        "evaluations of this oracle are counted where they are spent, and nobody reads these",
    ),
    Equivalent(
        "gradcheck/verification/verifier.py",
        "findings.append(_defect(name, backend, answer, may_overflow=not np.isfinite(bound).all()))",
        "findings.append(_defect(name, backend, answer, may_overflow=not (np.isfinite(bound).any())))",
        "a bound holds the mean of its block: it is infinite as a whole",
    ),
    Equivalent(
        "gradcheck/verification/problem.py",
        "parameters = {name: value.astype(np.float64, copy=False) for name, value in given.items()}",
        "parameters = {name: value.astype(np.float64, copy=True) for name, value in given.items()}",
        "a copy that nobody changes",
    ),
    Equivalent(
        "gradcheck/oracles/noise.py",
        "if stands_still(line, BESIDE[0], (-1, 1)) or not floor / ALIKE < spread <= QUIET * floor:",
        "if stands_still(line, BESIDE[0], (-1, 1)) or not (floor / ALIKE < spread < QUIET * floor):",
        TIE,
    ),
    Equivalent(
        "gradcheck/oracles/differences.py",
        "if best is before or best.bound <= self.enough:",
        "if best is before or (best.bound < self.enough):",
        TIE,
    ),
    Equivalent(
        "gradcheck/checking/overview.py",
        "return second if both and second.bound / norm(second.v[name]) > first.bound / norm(first.v[name]) else first",
        "return second if both and (second.bound / norm(second.v[name]) >= first.bound / norm(first.v[name])) else first",
        TIE,
    ),
    Equivalent(
        "gradcheck/oracles/differences.py",
        "return abs(here - there) <= ALIKE * abs(here)",
        "return (abs(here - there) < ALIKE * abs(here))",
        TIE,
    ),
    Equivalent(
        "gradcheck/checking/overview.py",
        "line, steps = prober.draw(sorted(zeros), 0), ladder(AT_LARGE.step, 2)",
        "line, steps = prober.draw(sorted(zeros), 0), ladder(AT_LARGE.step, 3)",
        "only the first two are looked at",
    ),
    Equivalent(
        "gradcheck/oracles/sides.py",
        "plain = PLAIN * UNIT * max(abs(line.origin), abs(line.sample(TINY[0]).value), abs(line.sample(-TINY[0]).value))",
        "plain = PLAIN * UNIT * (min(abs(line.origin), abs(line.sample(TINY[0]).value), abs(line.sample(-TINY[0]).value)))",
        "where one of the values is much larger than another, the change between them is a jump by either measure",
    ),
    Equivalent(
        "gradcheck/oracles/differences.py",
        "while best.bound > self.enough and top[0].h * ratio < self.start.farthest:",
        "while best.bound > self.enough and (top[0].h * ratio <= self.start.farthest):",
        "steps are powers of 2 times uneven digits, and the farthest is one that no ladder meets",
    ),
    Equivalent(
        "gradcheck/checking/prober.py",
        "while refuted and h > 2 * probe.estimate.step:",
        "while refuted and (h >= 2 * probe.estimate.step):",
        TIE,
    ),
    Equivalent(
        "gradcheck/oracles/lattice.py",
        "return changes[-1] >= LEFT * changes[-1 - LAST]",
        "return (changes[-1] > LEFT * changes[-1 - LAST])",
        TIE,
    ),
    Equivalent(
        "gradcheck/oracles/differences.py",
        "return not abs(ahead - behind) <= QUIET * max(self.spread, 2 * self.u * max(abs(ahead), abs(behind)))",
        "return not abs(ahead - behind) <= QUIET * max(self.spread, 2 * self.u * max(abs(ahead), (behind)))",
        "two values that differ by so little are of one size",
    ),
    Equivalent(
        "gradcheck/oracles/noise.py",
        "if QUIET * floor < here and beyond < GROWING * here and (below <= ALIKE * floor or here < GROWING * below):",
        "if (QUIET * floor <= here) and beyond < GROWING * here and (below <= ALIKE * floor or here < GROWING * below):",
        TIE,
    ),
)


def reason(path: str, before: str, after: str) -> str:
    """Why a mutant is equivalent, or nothing."""
    return next((each.reason for each in EQUIVALENT if (each.path, each.before, each.after) == (path, before, after)), "")
