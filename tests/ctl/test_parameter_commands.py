"""The commands for runtime parameters print, refuse and end as rabbitmqctl's do."""

from __future__ import annotations

import json

from tests.ctl.conftest import Ctl
from tests.ctl.test_policy_commands import printed

NOT_THERE = "Error:\nParameter does not exist\n"


def test_parameters(ctl_here: Ctl) -> None:
    assert printed(ctl_here, "set_parameter", "shovel", "s", '{"a": [1,2.5,"x",null,true]}') == [
        'Setting runtime parameter "s" for component "shovel" to "{"a": [1,2.5,"x",null,true]}" in vhost "/" ...'
    ]
    assert printed(ctl_here, "-q", "set_parameter", "vhost-limits", "limits", '{"max-queues":1000}') == []
    assert printed(ctl_here, "list_parameters") == [
        'Listing runtime parameters for vhost "/" ...',
        "component\tname\tvalue",
        'vhost-limits\tlimits\t{"max-queues":1000}',
        'shovel\ts\t{"a":[1,2.5,"x",null,true]}',
    ]
    assert json.loads(ctl_here("list_parameters", "--formatter", "json").stdout)[0] == {
        "component": "vhost-limits",
        "name": "limits",
        "value": '{"max-queues":1000}',
    }
    assert printed(ctl_here, "clear_parameter", "shovel", "s") == [
        'Clearing runtime parameter "s" for component "shovel" on vhost "/" ...'
    ]
    assert printed(ctl_here, "-q", "clear_parameter", "-p", "/", "vhost-limits", "limits") == []
    assert printed(ctl_here, "list_parameters") == ['Listing runtime parameters for vhost "/" ...']


def test_an_operator_policy_is_a_parameter_and_applies(ctl_here: Ctl) -> None:
    value = '{"pattern":"^guarded","definition":{"max-length":7},"priority":3,"apply-to":"queues"}'
    assert ctl_here("set_parameter", "operator_policy", "o", value).returncode == 0
    assert f"operator_policy\to\t{value}" in printed(ctl_here, "list_parameters")
    assert '/\to\t^guarded\tqueues\t{"max-length":7}\t3' in printed(ctl_here, "list_operator_policies")
    assert ctl_here("clear_parameter", "operator_policy", "o").returncode == 0
    assert printed(ctl_here, "-q", "list_operator_policies") == []


def test_what_is_refused(ctl_here: Ctl) -> None:
    for words, status, error in (
        (("nothing", "n", "{}"), 69, "Error:\nValidation failed\n\ncomponent nothing not found\n\n"),
        (("policy", "n", "{}"), 69, "Error:\npolicies may not be set using this method\n"),
        (("vhost-limits", "limits", "5"), 69, "Error:\nValidation failed\n\nlimits not a list 5\n\n"),
        (("-p", "nowhere", "vhost-limits", "limits", "{}"), 65, "Virtual host 'nowhere' does not exist\n"),
    ):
        result = ctl_here("-q", "set_parameter", *words)
        assert (result.returncode, result.stderr) == (status, error)
    result = ctl_here("-q", "set_parameter", "shovel", "s", "nonsense")
    assert result.returncode == 69 and result.stderr.startswith("Error:\nJSON decoding error. Reason: ")
    result = ctl_here("-q", "clear_parameter", "shovel", "s")
    assert (result.returncode, result.stderr) == (69, NOT_THERE)
    result = ctl_here("list_parameters", "-p", "nowhere")
    assert (result.returncode, result.stderr) == (65, "Virtual host 'nowhere' does not exist\n")
    assert ctl_here("set_parameter", "a", "b").returncode == 64


def test_global_parameters(ctl_here: Ctl) -> None:
    assert printed(ctl_here, "set_global_parameter", "g", '{"a":1}') == [
        'Setting global runtime parameter "g" to "{"a":1}" ...'
    ]
    listed = printed(ctl_here, "list_global_parameters")
    assert listed[:2] == ["Listing global runtime parameters ...", "name\tvalue"]
    assert 'g\t{"a":1}' in listed
    assert any(line.startswith('internal_cluster_id\t"rabbitmq-cluster-id-') for line in listed)
    assert printed(ctl_here, "clear_global_parameter", "g") == ['Clearing global runtime parameter "g" ...']
    result = ctl_here("-q", "clear_global_parameter", "g")
    assert (result.returncode, result.stderr) == (69, NOT_THERE)


def test_the_name_of_the_cluster(ctl_here: Ctl) -> None:
    assert printed(ctl_here, "set_cluster_name", "production") == ["Setting cluster name to production ..."]
    assert 'cluster_name\t"production"' in printed(ctl_here, "list_global_parameters")
    assert ctl_here("clear_global_parameter", "cluster_name").returncode == 0
