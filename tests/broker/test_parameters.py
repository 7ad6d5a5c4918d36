"""Parameters: what is a change and what is none, and what clients are told of them."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import FieldValue
from leveret.broker.broker import NoSuchVirtualHost
from leveret.broker.parameters import same
from tests.broker.driver import Driver


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (0, False, False),
        (None, None, True),
        ([1, [2]], [1, [2]], True),
        ([1, [2]], [1, [2.0]], False),
        ([1], [1, 2], False),
        ({"a": 1, "b": {"c": "x"}}, {"b": {"c": "x"}, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        ({}, [], False),
    ],
)
def test_values_are_the_same_if_their_json_is(one: object, other: object, expected: bool) -> None:
    assert same(one, other) is same(other, one) is expected


def test_setting_what_is_there_is_no_change(driver: Driver) -> None:
    parameters = driver.broker.parameters
    assert parameters.set("/", "c", "n", 1) and not parameters.set("/", "c", "n", 1)
    assert parameters.set("/", "c", "n", True)
    assert parameters.of_vhost("/") == {("c", "n"): True}
    assert parameters.clear("/", "c", "n") and not parameters.clear("/", "c", "n")
    assert not parameters.clear("nowhere", "c", "n")
    assert parameters.set_global("n", None) and not parameters.set_global("n", None)
    assert parameters.clear_global("n") and not parameters.clear_global("n")
    with pytest.raises(NoSuchVirtualHost):
        parameters.set("nowhere", "c", "n", 1)


def test_parameters_go_with_their_virtual_host(driver: Driver) -> None:
    broker = driver.broker
    broker.add_vhost("v")
    broker.parameters.set("v", "c", "n", 1)
    broker.delete_vhost("v")
    broker.add_vhost("v")
    assert broker.parameters.of_vhost("v") == {}


def test_clients_are_told_the_name_of_the_cluster(driver: Driver) -> None:
    broker = driver.broker
    assert broker.server_properties["cluster_name"] == FieldValue("S", broker.node)
    broker.parameters.set_global("cluster_name", "production")
    assert broker.server_properties["cluster_name"] == FieldValue("S", "production")
    broker.parameters.set_global("cluster_name", 5)
    assert broker.parameters.cluster_name() == broker.node
    broker.parameters.clear_global("cluster_name")
    assert broker.server_properties["cluster_name"] == FieldValue("S", broker.node)


def test_a_cluster_has_an_id_from_its_beginning(driver: Driver) -> None:
    value = driver.broker.parameters.all_global()["internal_cluster_id"]
    assert isinstance(value, str) and value.startswith("rabbitmq-cluster-id-")
    assert Driver().broker.parameters.all_global()["internal_cluster_id"] == value  # from the same random octets
