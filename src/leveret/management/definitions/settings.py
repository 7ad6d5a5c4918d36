"""Policies and parameters of a definitions file."""

from __future__ import annotations

from typing import Final

from leveret.broker.broker import Broker, NoSuchVirtualHost
from leveret.broker.policy import ALL, InvalidPolicy, make_policy
from leveret.broker.policy_definition import unknown_settings
from leveret.management.definitions.export import INTERNAL
from leveret.management.definitions.steps import Fields, Outlook, Step
from leveret.management.parameters import (
    KEPT,
    LIMITS,
    OPERATOR_POLICY,
    POLICY,
    VHOST_LIMITS,
    InvalidParameter,
    check_parameter,
    set_parameter,
    set_policy,
)

MEANT: Final = (VHOST_LIMITS, OPERATOR_POLICY, *KEPT)


class PolicyStep(Step):
    """A policy. Settings that nobody knows are kept if they are texts or numbers, and have no effect."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.vhost: Final = fields.vhost_name()
        name = fields.text("name")
        fields.what = f"policy '{name}' in vhost '{self.vhost}'"
        self.definition: Final = fields.object("definition")
        try:
            self.policy: Final = make_policy(
                name,
                fields.text("pattern"),
                fields.text("apply-to", ALL),
                self.definition,
                fields.number("priority", 0),
                operator=False,
                tolerant=True,
            )
        except InvalidPolicy as error:
            raise fields.wrong(str(error)) from None

    def check(self, outlook: Outlook) -> bool:
        outlook.check_vhost(self.fields, self.vhost)
        warn_of_unknown(self.fields, self.definition, outlook)
        return True

    def apply(self, broker: Broker) -> bool:
        vhost = broker.vhosts.get(self.vhost)
        if vhost is None:
            raise self.fields.wrong("the virtual host was deleted meanwhile")
        return set_policy(vhost, self.policy, operator=False)


class ParameterStep(Step):
    """A parameter of a virtual host; that of a component that nobody knows is kept."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.vhost: Final = fields.vhost_name()
        self.component: Final = fields.text("component")
        self.name: Final = LIMITS if self.component == VHOST_LIMITS else fields.text("name")
        fields.what = f"parameter '{self.name}' of component '{self.component}' in vhost '{self.vhost}'"
        if "value" not in fields.values:
            raise fields.wrong("value is missing")
        value = fields.values["value"]
        self.value: Final = {} if value == [] and self.component == VHOST_LIMITS else value
        try:
            check_parameter(self.component, self.name, self.value, tolerant=True)
        except InvalidParameter as error:
            raise fields.wrong(str(error).strip()) from None

    def check(self, outlook: Outlook) -> bool:
        outlook.check_vhost(self.fields, self.vhost)
        if self.component == OPERATOR_POLICY and isinstance(self.value, dict):
            warn_of_unknown(self.fields, self.value["definition"], outlook)
        if self.component not in MEANT:
            outlook.warnings.append(f"{self.fields.what} is kept, but nobody knows the component")
        return True

    def apply(self, broker: Broker) -> bool:
        try:
            return set_parameter(broker, self.vhost, self.component, self.name, self.value, tolerant=True)
        except NoSuchVirtualHost:
            raise self.fields.wrong("the virtual host was deleted meanwhile") from None


class GlobalParameterStep(Step):
    """A global parameter; those that tell one cluster from another stay where they were made."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.name: Final = fields.text("name")
        fields.what = f"global parameter '{self.name}'"
        if "value" not in fields.values:
            raise fields.wrong("value is missing")
        self.value: Final = fields.values["value"]

    def check(self, outlook: Outlook) -> bool:
        return not self.name.startswith(INTERNAL)

    def apply(self, broker: Broker) -> bool:
        return broker.parameters.set_global(self.name, self.value)


def warn_of_unknown(fields: Fields, definition: dict[str, object], outlook: Outlook) -> None:
    """Say which settings of a policy have no effect here."""
    unknown = unknown_settings(definition)
    if unknown:
        outlook.warnings.append(f"{fields.what}: without effect are {', '.join(unknown)}")


def policies_changed_in(step: Step) -> str | None:
    """The virtual host whose policies have to be applied again after a step that has changed something."""
    if isinstance(step, PolicyStep):
        return step.vhost
    return step.vhost if isinstance(step, ParameterStep) and step.component in (OPERATOR_POLICY, POLICY) else None
