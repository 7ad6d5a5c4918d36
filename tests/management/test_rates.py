"""Rates of a broker: sampled while somebody asks, and not at all otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from leveret.management.history import History, Ranges
from leveret.management.rates import OF_TRAFFIC, Rates, added_up
from tests.broker.driver import Driver

NOTHING = Ranges()


def run(work: Callable[[Driver, Rates], Awaitable[None]], interval: float = 60.0) -> None:
    async def with_rates() -> None:
        driver = Driver()
        rates = Rates(driver.broker, interval, interval)
        await work(driver, rates)
        await rates.close()

    asyncio.run(with_rates())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_nobody_asks_and_nothing_is_done() -> None:
    async def work(driver: Driver, rates: Rates) -> None:
        assert rates.message_stats(driver.broker, NOTHING) is None
        await asyncio.sleep(0.02)
        assert rates.rounds == 0
        assert rates.asked({}) == NOTHING
        await until(lambda: rates.rounds > 2)

    run(work, interval=0.001)


def test_rounds_end_when_nobody_asks_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leveret.management.rates.NOBODY_ASKS", 0.01)

    async def work(driver: Driver, rates: Rates) -> None:
        rates.asked({})
        await until(lambda: rates._task is None and rates.rounds > 0)
        rounds = rates.rounds
        await asyncio.sleep(0.02)
        assert rates.rounds == rounds
        assert rates._histories == {}

    run(work, interval=0.001)


def test_what_is_new_has_a_rate_from_its_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000]
    monkeypatch.setattr("leveret.management.rates.milliseconds", lambda: now[0])

    async def work(driver: Driver, rates: Rates) -> None:
        await rates.make_round()
        client = driver.log_in(1)
        client.declare("q")
        for _ in range(50):
            client.publish("", "q")
        driver.tick()
        now[0] += 5_000
        await rates.make_round()
        queue = driver.broker.vhosts["/"].queues["q"]
        stats = rates.message_stats(queue, NOTHING)
        assert stats is not None
        assert (stats["publish"], stats["publish_details"]) == (50, {"rate": 10.0})
        assert "confirm" not in stats
        [channel] = client.connection.channels.values()
        stats = rates.message_stats(channel, NOTHING)
        assert stats is not None and stats["publish_details"] == {"rate": 10.0}
        stats = rates.message_stats(driver.broker.vhosts["/"].exchanges[""], NOTHING)
        assert stats == {
            "publish_in": 50,
            "publish_in_details": {"rate": 10.0},
            "publish_out": 50,
            "publish_out_details": {"rate": 10.0},
        }
        for thing in (driver.broker, driver.broker.vhosts["/"]):
            stats = rates.message_stats(thing, NOTHING)
            assert stats is not None and stats["publish_details"] == {"rate": 10.0}
        lengths = rates.lengths(queue, 50, 0, NOTHING)
        assert (lengths["messages"], lengths["messages_ready_details"]) == (50, {"rate": 10.0})
        assert rates.detail(queue, "messages", None) == {"rate": 10.0}
        octets = rates.octets(client.connection, NOTHING)
        assert octets["recv_oct"] > 50 and octets["recv_oct_details"]["rate"] == octets["recv_oct"] / 5
        churn = rates.churn(NOTHING)
        assert (churn["connection_created"], churn["connection_created_details"]) == (1, {"rate": 0.2})

    run(work)


def test_what_is_gone_is_forgotten() -> None:
    async def work(driver: Driver, rates: Rates) -> None:
        client = driver.log_in(1)
        client.declare("q")
        driver.tick()
        await rates.make_round()
        queue = driver.broker.vhosts["/"].queues["q"]
        assert queue in rates._histories and client.connection in rates._histories
        driver.broker.vhosts["/"].delete_queue(queue)
        client.connection.close_socket()
        await rates.make_round()
        assert queue not in rates._histories and client.connection not in rates._histories
        rates.forget()
        assert rates._histories == {}

    run(work)


def test_counters_of_what_has_ended_are_not_lost_and_not_counted_twice() -> None:
    async def work(driver: Driver, rates: Rates) -> None:
        driver.broker.add_vhost("other")
        client = driver.log_in(1, 2)
        client.declare("q")
        client.publish("", "q")
        driver.tick()
        await rates.make_round()
        client.publish("", "q")
        client.connection.close_socket()
        await rates.make_round()
        await rates.make_round()
        for thing in (driver.broker, driver.broker.vhosts["/"]):
            stats = rates.message_stats(thing, NOTHING)
            assert stats is not None and stats["publish"] == 2
        driver.broker.delete_vhost("/")
        stats = rates.message_stats(driver.broker, NOTHING)
        assert stats is not None and stats["publish"] == 2

    run(work)


def test_a_round_lets_others_work() -> None:
    async def work(driver: Driver, rates: Rates) -> None:
        vhost = driver.broker.vhosts["/"]
        for number in range(20_000):
            vhost.add_queue(vhost.new_queue(f"q{number}", False, False, None, {}))
        turns = 0
        round_ = asyncio.ensure_future(rates.make_round())
        while not round_.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 10
        assert len(rates._histories) > 20_000

    run(work)


def test_statistics_are_added_up() -> None:
    def stats(value: int, rate: float) -> dict[str, object]:
        samples = [{"sample": value, "timestamp": 5}, {"sample": 0, "timestamp": 0}]
        return {"publish": value, "publish_details": {"rate": rate, "samples": samples}}

    assert added_up([stats(1, 0.5), stats(2, 1.0)]) == stats(3, 1.5)
    assert added_up([]) == {}
    assert added_up([stats(1, 0.5)]) == stats(1, 0.5)


def test_every_counter_has_its_place() -> None:
    assert OF_TRAFFIC[-1] == "deliver_get"
    past = History(OF_TRAFFIC)
    past.add(0, tuple(range(len(OF_TRAFFIC))))
    past.add(5_000, tuple(2 * number for number in range(len(OF_TRAFFIC))))
    assert past.details(("redeliver",), 0, None) == [{"rate": OF_TRAFFIC.index("redeliver") / 5}]
