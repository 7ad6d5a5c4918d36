"""`/policies` and `/operator-policies`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from leveret.broker.erlang_terms import printed
from leveret.broker.policy import ALL, InvalidPolicy, Policy, make_policy
from leveret.management.http.access import administrator, policymaker_of_vhost, user_of_vhost
from leveret.management.http.bodies import text
from leveret.management.http.call import Call
from leveret.management.http.errors import Refused, bad_request, escaped, object_not_found
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.slices import reapplied
from leveret.management.http.vhosts import vhost_exists
from leveret.management.parameters import set_policy, validation_failed

COLUMNS: Final[ListColumns[tuple[str, Policy]]] = {
    "vhost": lambda item, broker: item[0],
    "name": lambda item, broker: item[1].name,
    "pattern": lambda item, broker: item[1].pattern.text,
    "apply-to": lambda item, broker: item[1].apply_to,
    "definition": lambda item, broker: item[1].told,
    "priority": lambda item, broker: item[1].priority,
}
POLICIES: Final = List(COLUMNS, paged=False)


class Policies:
    """The handlers for one of the two kinds."""

    def __init__(self, operator: bool) -> None:
        self._operator: Final = operator

    def _of_call(self, call: Call) -> Iterator[tuple[str, Policy]]:
        for vhost in call.vhosts():
            for policy in list(vhost.policies.listed(self._operator)):
                yield vhost.name, policy

    async def list(self, call: Call) -> object:
        """Those of a virtual host, or of all that the user may use."""
        return await POLICIES.answer(call, self._of_call(call))

    def _find(self, call: Call) -> Policy | None:
        vhost = call.find_vhost()
        if vhost is None:
            return None
        return (vhost.policies.operator if self._operator else vhost.policies.user).get(call.argument("name"))

    def exists(self, call: Call) -> bool:
        """Whether the policy that is named is there."""
        return self._find(call) is not None

    async def get(self, call: Call) -> object:
        """One policy."""
        policy = self._find(call)
        if policy is None:
            raise object_not_found()
        return POLICIES.row((call.argument("vhost"), policy), call.broker)

    async def put(self, call: Call) -> None:
        """Set a policy."""
        vhost = call.vhost_to_change()
        policy = self._policy_of(call, await call.json("pattern", "definition"))
        call.begin_change()
        if set_policy(vhost, policy, self._operator):
            await reapplied(vhost, call.begin_change)
        await call.committed()

    def _policy_of(self, call: Call, body: dict[str, Any]) -> Policy:
        definition, priority = body["definition"], body.get("priority", 0)
        if not isinstance(definition, dict):
            raise bad_request("definition is an object")
        if isinstance(priority, str) and len(priority) < 20 and priority.removeprefix("-").isdecimal():
            priority = int(priority)
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise self._failed(not_a_number(priority))
        pattern, apply_to = text(body, "pattern"), text(body, "apply-to", ALL)
        try:
            return make_policy(call.argument("name"), pattern, apply_to, definition, priority, self._operator)
        except InvalidPolicy as error:
            raise self._failed(str(error)) from None

    def _failed(self, reasons: str) -> Refused:
        """The error for a policy that is not valid; HTML in it is made harmless, though not for administrators."""
        reason = str(validation_failed(reasons))
        return bad_request(reason if self._operator else escaped(reason))

    async def delete(self, call: Call) -> None:
        """Clear a policy."""
        vhost = call.vhost()
        call.begin_change()
        if vhost.policies.clear(call.argument("name"), self._operator):
            await reapplied(vhost, call.begin_change)
        await call.committed()

    def resources(self, path: str, changer: Callable[[Call], None]) -> tuple[Resource, ...]:
        """The resources under a path; `changer` says who may set and see one of them."""
        return (
            Resource(path, get=self.list),
            Resource(f"{path}/{{vhost}}", user_of_vhost, vhost_exists, get=self.list),
            Resource(
                f"{path}/{{vhost}}/{{name}}", changer, self.exists, get=self.get, put=self.put, delete=self.delete
            ),
        )


def not_a_number(value: object) -> str:
    """RabbitMQ's words for a priority that is none."""
    return f"priority should be a number, actually was {printed(value)}"


RESOURCES: Final = (
    *Policies(operator=False).resources("/policies", policymaker_of_vhost),
    *Policies(operator=True).resources("/operator-policies", administrator),
)
