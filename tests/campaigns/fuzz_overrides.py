"""Random overrides, many of them: how each ends. By hand: python tests/campaigns/fuzz_overrides.py [NUMBER]

Each is composed in this process; it counts as lost if it ends in anything but a config or one printable
line of at most 300 characters, or if it takes longer than 2 s. What was lost is printed, a kind once.
"""

import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parent.parent))
import override_grammar

from bnrepro.config.compose import compose_config
from bnrepro.config.errors import UsageError

SECONDS = 2.0
GIVE_UP_SECONDS = 20


class TooSlow(BaseException):
    """So that nobody catches it."""


def give_up(*_: object) -> None:
    raise TooSlow


def ending(override: str) -> str:
    """`config`, `line`, or how it was lost."""
    start = time.monotonic()
    signal.alarm(GIVE_UP_SECONDS)
    try:
        compose_config([override])
        end = "config"
    except UsageError as error:
        line = str(error)
        end = "line"
        if "\n" in line:
            end = "several lines"
        elif not line.isprintable():
            end = "control characters"
        elif len(line) > 300:
            end = "long line"
    except (Exception, TooSlow) as error:
        end = f"traceback: {type(error).__name__}"
    finally:
        signal.alarm(0)
    return end if time.monotonic() - start <= SECONDS else "slow"


def main(number: int) -> None:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, give_up)
    counts: Counter[str] = Counter()

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(override_grammar.overrides)
    def one(override: str) -> None:
        end = ending(override)
        if end not in ("config", "line") and not counts[end]:
            print(f"{end}: {override[:200]!a}", flush=True)
        counts[end] += 1

    one()
    tried = sum(counts.values())
    print(f"{tried} tried: " + ", ".join(f"{count} {end}" for end, count in counts.most_common()))
    sys.exit(any(end not in ("config", "line") for end in counts))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
