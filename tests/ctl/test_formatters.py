"""What the formatters print, against what rabbitmqctl 3.10 printed for the same things."""

from __future__ import annotations

import json

import pytest

from leveret.cli.formatters import FORMATTERS, Cell, Row, lines

NAMES: list[Row] = [["quorum", 0], ["plain", 6], ["sp ace,comma\"quote'tab\tback\\é☃", 0]]

# The arguments of a queue as the control socket sends them.
ARGUMENTS: Cell = [
    ["x-max-length", "signedint", 5],
    ["x-dead-letter-exchange", "longstr", "amq.fanout"],
    ["x-single-active-consumer", "bool", True],
    [
        "x-other",
        "table",
        [
            ["a", "signedint", 1],
            ["b", "array", [["signedint", 1], ["longstr", "two"], ["signedint", 7], ["void", None], ["bool", True]]],
        ],
    ],
    ["x-dec", "decimal", [2, 125]],
    ["x-bytes", "binary", "\0\udcff"],
    ["x-time", "timestamp", 1704067200],
    ["x-neg", "signedint", -5],
    ["x-empty", "longstr", ""],
    ["x-big", "long", 1099511627776],
    ["x-el", "array", []],
    ["x-et", "table", []],
]
ARGUMENTS_RECORDED = (
    '[{"x-max-length",5},{"x-dead-letter-exchange","amq.fanout"},{"x-single-active-consumer",true},'
    '{"x-other",[{"a",1},{"b",[1,"two",7,undefined,true]}]},{"x-dec",{2,125}},{"x-bytes",<<0,255>>},'
    '{"x-time",1704067200},{"x-neg",-5},{"x-empty",[]},{"x-big",1099511627776},{"x-el",[]},{"x-et",[]}]'
)


def text(formatter: str, columns: list[str], rows: list[Row], headers: bool = True) -> str:
    return "".join(f"{line}\n" for line in lines(formatter, columns, rows, headers))


def table_of(value: Cell) -> str:
    return text("table", ["value"], [[value]], headers=False).removesuffix("\n")


def test_table() -> None:
    assert text("table", ["name", "messages"], NAMES) == (
        "name\tmessages\nquorum\t0\nplain\t6\nsp ace,comma\"quote'tab\tback\\é☃\t0\n"
    )


def test_table_without_headers() -> None:
    assert text("table", ["name", "messages"], NAMES[:2], headers=False) == "quorum\t0\nplain\t6\n"


def test_json() -> None:
    assert text("json", ["name", "messages"], NAMES) == (
        '[\n{"name":"quorum","messages":0}\n,{"name":"plain","messages":6}\n'
        ',{"name":"sp ace,comma\\"quote\'tab\\tback\\\\é☃","messages":0}\n]\n'
    )


def test_json_stream() -> None:
    assert text("json_stream", ["name", "messages"], NAMES[:2]) == (
        '{"name":"quorum","messages":0}\n\n{"name":"plain","messages":6}\n\n'
    )


def test_csv() -> None:
    assert text("csv", ["name", "messages"], NAMES) == (
        '"name","messages"\n"quorum","0"\n"plain","6"\n"sp ace,comma""quote\'tab\tback\\é☃","0"\n'
    )


def test_pretty_table() -> None:
    assert text("pretty_table", ["name", "type"], [["amq.fanout", "fanout"], ["", "direct"]]) == (
        "┌────────────┬────────┐\n"
        "│ name       │ type   │\n"
        "├────────────┼────────┤\n"
        "│ amq.fanout │ fanout │\n"
        "├────────────┼────────┤\n"
        "│            │ direct │\n"
        "└────────────┴────────┘\n"
    )


@pytest.mark.parametrize(
    ("formatter", "printed"),
    [("table", ""), ("csv", ""), ("pretty_table", ""), ("json_stream", ""), ("json", "[\n]\n")],
)
def test_nothing_to_list(formatter: str, printed: str) -> None:
    assert text(formatter, ["name"], []) == printed


def test_every_formatter_is_tested_with_nothing() -> None:
    assert set(FORMATTERS) == {"table", "csv", "pretty_table", "json_stream", "json"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (68664, "68664"),
        (1.0, "1.0"),
        ([], "[]"),
        ([0, 9, 1], "{0,9,1}"),
        (["rabbit@one"], "[rabbit@one]"),
        (["rabbit@one", "rabbit@two"], "[rabbit@one, rabbit@two]"),
        ([["x-queue-type", "longstr", "quorum"]], '[{"x-queue-type","quorum"}]'),
        (ARGUMENTS, ARGUMENTS_RECORDED),
        (
            [["x-strs", "array", [["longstr", "a"], ["longstr", "b"]]], ["x-ints2", "array", [["signedint", 1]]]],
            '[{"x-strs",["a","b"]},{"x-ints2",[1]}]',
        ),
        (
            [["x-tabs", "array", [["table", [["a", "signedint", 1]]], ["table", [["b", "longstr", "c"]]]]]],
            '[{"x-tabs",[[{"a",1}],[{"b","c"}]]}]',
        ),
        (
            [["x-b1", "binary", "abc"], ["x-b2", "binary", "café"], ["x-b4", "binary", ""]],
            '[{"x-b1",<<"abc">>},{"x-b2",<<"café"/utf8>>},{"x-b4",<<>>}]',
        ),
        ([["x-b5", "binary", 'a"\\\n']], '[{"x-b5",<<"a\\"\\\\\\n">>}]'),
        ([["connection_name", "longstr", "probe é"]], '[{"connection_name","probe é"}]'),
    ],
)
def test_cells_of_a_table_as_recorded(value: Cell, shown: str) -> None:
    assert table_of(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([["x-snow", "longstr", '☃ "q" \t']], '[{"x-snow","☃ \\"q\\" \\t"}]'),
        ([["x-ctrl", "longstr", "a\x01\x1b\x7f"]], '[{"x-ctrl","a\\001\\e\\d"}]'),
        ([["x-ints", "array", [["signedint", 65], ["signedint", 66]]]], '[{"x-ints",[65,66]}]'),
        ([["x-b", "binary", "\udcff"]], '[{"x-b",<<255>>}]'),
    ],
)
def test_cells_that_rabbitmqctl_makes_unreadable(value: Cell, shown: str) -> None:
    assert table_of(value) == shown


def test_csv_quotes_inside_of_arguments() -> None:
    assert text("csv", ["arguments"], [[[["x-queue-type", "longstr", "quorum"]]]]) == (
        '"arguments"\n"[{""x-queue-type"",""quorum""}]"\n'
    )


def json_of(value: Cell, column: str = "value") -> str:
    return text("json_stream", [column], [[value]]).removesuffix("\n\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, '""'),
        (True, "true"),
        (1.0, "1.0"),
        ([0, 9, 1], "[0,9,1]"),
        (["oracle@localhost"], '["oracle@localhost"]'),
        ([], "[]"),
        ([["x-priority", "signedint", 4]], '[["x-priority","signedint",4]]'),
        ([["x-dec", "decimal", [2, 125]]], '[["x-dec","decimal",[2,125]]]'),
        ([["x-void", "void", None]], '[["x-void","void","undefined"]]'),
        ([["x-e", "longstr", ""]], '[["x-e","longstr",""]]'),
        (
            [["capabilities", "table", [["basic.nack", "bool", True]]]],
            '[["capabilities","table",[["basic.nack","bool",true]]]]',
        ),
    ],
)
def test_cells_of_json_as_recorded(value: Cell, shown: str) -> None:
    assert json_of(value) == f'{{"value":{shown}}}'


def test_an_array_in_json_keeps_elements_of_one_type_apart() -> None:
    assert json.loads(json_of([["b", "array", [["signedint", 1], ["signedint", 2], ["void", None]]]])) == {
        "value": [["b", "array", [["signedint", 1], ["signedint", 2], ["void", "undefined"]]]]
    }


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", [127, 0, 0, 1]),
        ("::1", [0, 0, 0, 0, 0, 0, 0, 1]),
        ("fe80::1%eth0", [0xFE80, 0, 0, 0, 0, 0, 0, 1]),
        ("unix", "unix"),
    ],
)
def test_addresses_in_json_are_numbers(host: str, shown: object) -> None:
    assert json.loads(json_of(host, "peer_host")) == {"peer_host": shown}
    assert json.loads(json_of(host, "name")) == {"name": host}


def test_octets_that_are_not_utf_8_are_replaced_in_json() -> None:
    assert json_of("a\udcffb") == '{"value":"a\ufffdb"}'
