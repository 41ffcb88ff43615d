"""``python -m gradcheck.campaign.judging.child``: the process in which a backend may do what it likes.

It is sent a plan and then one case at a time, as JSON. It loads the backends and says that it is ready, or why not. Of each
case it says the name before it judges it and the record after; the plan's limit ends it where that takes longer.
"""

import json

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.judging.judge import judge_to_json
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.errors import BackendError
from gradcheck.foundation.calling import one_line
from gradcheck.foundation.processes import LOADING, Parent

READY, REFUSED = b"ready", b"refused "


def main() -> None:
    """Judge what the parent sends."""
    parent = Parent()
    plan = msgspec.json.decode(parent.receive(), type=Plan)
    try:
        with parent.time_limit(LOADING):
            registry.resolve(plan.backends)
        parent.send(READY)
        while True:
            _judge(plan, parent)
    except BackendError as error:
        parent.send(REFUSED + one_line(error).encode("utf-8", "backslashreplace"))


def _judge(plan: Plan, parent: Parent) -> None:
    table = json.loads(parent.receive())
    parent.send(name_of(table).encode())
    with parent.time_limit(plan.limit):
        record = judge_to_json(plan, table)
    parent.send(record)


if __name__ == "__main__":
    main()
