"""All methods of AMQP 0-9-1 as RabbitMQ knows them, and the way from the payload of a method frame to a method."""

from __future__ import annotations

from typing import Final

from leveret.amqp.frame import FRAME_METHOD, unknown_frame
from leveret.amqp.methods.access import (
    AccessRequest,
    AccessRequestOk,
    decode_access,
)
from leveret.amqp.methods.base import Method
from leveret.amqp.methods.basic import (
    BasicAck,
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicDeliver,
    BasicGet,
    BasicGetEmpty,
    BasicGetOk,
    BasicNack,
    BasicPublish,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    BasicReject,
    BasicReturn,
    decode_basic,
)
from leveret.amqp.methods.channel import (
    ChannelClose,
    ChannelCloseOk,
    ChannelFlow,
    ChannelFlowOk,
    ChannelOpen,
    ChannelOpenOk,
    decode_channel,
)
from leveret.amqp.methods.confirm import (
    ConfirmSelect,
    ConfirmSelectOk,
    decode_confirm,
)
from leveret.amqp.methods.connection import (
    ConnectionBlocked,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionSecure,
    ConnectionSecureOk,
    ConnectionStart,
    ConnectionStartOk,
    ConnectionTune,
    ConnectionTuneOk,
    ConnectionUnblocked,
    ConnectionUpdateSecret,
    ConnectionUpdateSecretOk,
    decode_connection,
)
from leveret.amqp.methods.exchange import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    decode_exchange,
)
from leveret.amqp.methods.queue import (
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
    decode_queue,
)
from leveret.amqp.methods.transaction import (
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
    decode_tx,
)
from leveret.amqp.reply_codes import NOT_IMPLEMENTED, HardError
from leveret.amqp.wire import Reader

__all__ = [
    "METHOD_IDS",
    "AccessRequest",
    "AccessRequestOk",
    "BasicAck",
    "BasicCancel",
    "BasicCancelOk",
    "BasicConsume",
    "BasicConsumeOk",
    "BasicDeliver",
    "BasicGet",
    "BasicGetEmpty",
    "BasicGetOk",
    "BasicNack",
    "BasicPublish",
    "BasicQos",
    "BasicQosOk",
    "BasicRecover",
    "BasicRecoverAsync",
    "BasicRecoverOk",
    "BasicReject",
    "BasicReturn",
    "ChannelClose",
    "ChannelCloseOk",
    "ChannelFlow",
    "ChannelFlowOk",
    "ChannelOpen",
    "ChannelOpenOk",
    "ConfirmSelect",
    "ConfirmSelectOk",
    "ConnectionBlocked",
    "ConnectionClose",
    "ConnectionCloseOk",
    "ConnectionOpen",
    "ConnectionOpenOk",
    "ConnectionSecure",
    "ConnectionSecureOk",
    "ConnectionStart",
    "ConnectionStartOk",
    "ConnectionTune",
    "ConnectionTuneOk",
    "ConnectionUnblocked",
    "ConnectionUpdateSecret",
    "ConnectionUpdateSecretOk",
    "ExchangeBind",
    "ExchangeBindOk",
    "ExchangeDeclare",
    "ExchangeDeclareOk",
    "ExchangeDelete",
    "ExchangeDeleteOk",
    "ExchangeUnbind",
    "ExchangeUnbindOk",
    "Method",
    "QueueBind",
    "QueueBindOk",
    "QueueDeclare",
    "QueueDeclareOk",
    "QueueDelete",
    "QueueDeleteOk",
    "QueuePurge",
    "QueuePurgeOk",
    "QueueUnbind",
    "QueueUnbindOk",
    "TxCommit",
    "TxCommitOk",
    "TxRollback",
    "TxRollbackOk",
    "TxSelect",
    "TxSelectOk",
    "decode_method",
]
METHOD_IDS: Final[dict[str, tuple[int, int]]] = {
    "connection.start": (10, 10),
    "connection.start-ok": (10, 11),
    "connection.secure": (10, 20),
    "connection.secure-ok": (10, 21),
    "connection.tune": (10, 30),
    "connection.tune-ok": (10, 31),
    "connection.open": (10, 40),
    "connection.open-ok": (10, 41),
    "connection.close": (10, 50),
    "connection.close-ok": (10, 51),
    "connection.blocked": (10, 60),
    "connection.unblocked": (10, 61),
    "connection.update-secret": (10, 70),
    "connection.update-secret-ok": (10, 71),
    "channel.open": (20, 10),
    "channel.open-ok": (20, 11),
    "channel.flow": (20, 20),
    "channel.flow-ok": (20, 21),
    "channel.close": (20, 40),
    "channel.close-ok": (20, 41),
    "access.request": (30, 10),
    "access.request-ok": (30, 11),
    "exchange.declare": (40, 10),
    "exchange.declare-ok": (40, 11),
    "exchange.delete": (40, 20),
    "exchange.delete-ok": (40, 21),
    "exchange.bind": (40, 30),
    "exchange.bind-ok": (40, 31),
    "exchange.unbind": (40, 40),
    "exchange.unbind-ok": (40, 51),
    "queue.declare": (50, 10),
    "queue.declare-ok": (50, 11),
    "queue.bind": (50, 20),
    "queue.bind-ok": (50, 21),
    "queue.purge": (50, 30),
    "queue.purge-ok": (50, 31),
    "queue.delete": (50, 40),
    "queue.delete-ok": (50, 41),
    "queue.unbind": (50, 50),
    "queue.unbind-ok": (50, 51),
    "basic.qos": (60, 10),
    "basic.qos-ok": (60, 11),
    "basic.consume": (60, 20),
    "basic.consume-ok": (60, 21),
    "basic.cancel": (60, 30),
    "basic.cancel-ok": (60, 31),
    "basic.publish": (60, 40),
    "basic.return": (60, 50),
    "basic.deliver": (60, 60),
    "basic.get": (60, 70),
    "basic.get-ok": (60, 71),
    "basic.get-empty": (60, 72),
    "basic.ack": (60, 80),
    "basic.reject": (60, 90),
    "basic.recover-async": (60, 100),
    "basic.recover": (60, 110),
    "basic.recover-ok": (60, 111),
    "basic.nack": (60, 120),
    "confirm.select": (85, 10),
    "confirm.select-ok": (85, 11),
    "tx.select": (90, 10),
    "tx.select-ok": (90, 11),
    "tx.commit": (90, 20),
    "tx.commit-ok": (90, 21),
    "tx.rollback": (90, 30),
    "tx.rollback-ok": (90, 31),
}

# arguments that may hold a password: connection.start-ok, secure-ok and update-secret
_SECRET_BEARING: Final = frozenset(((10, 11), (10, 21), (10, 70)))


def decode_method(payload: bytes) -> Method:
    """Decode the payload of a method frame. Raises HardError, with the ids of the method where they are known.

    As RabbitMQ: 501 FRAME_ERROR `type 1, all octets = <<...>>: unknown_frame` without two ids; 501 `cannot decode
    <<...>>` for arguments that are too short or too long, and 501 `Malformed UTF-8 in shortstr`. Where RabbitMQ drops
    the connection without a word, the code is the specification's: 540 NOT_IMPLEMENTED for an unknown method, 502
    SYNTAX_ERROR for a malformed field table.
    """
    if len(payload) < 4:
        raise unknown_frame(FRAME_METHOD, payload)
    class_id = payload[0] << 8 | payload[1]
    method_id = payload[2] << 8 | payload[3]
    reader = Reader(payload, 4)
    try:
        method = _decode_arguments(class_id, method_id, reader)
        if method is None:
            raise HardError(NOT_IMPLEMENTED, f"unknown method {method_id} of class {class_id}")
        if not reader.at_end:
            raise reader.undecodable()
    except HardError as error:
        explanation = error.explanation
        if (class_id, method_id) in _SECRET_BEARING:
            explanation = "cannot decode the arguments"
        raise HardError(error.code, explanation, class_id, method_id) from None
    return method


def _decode_arguments(class_id: int, method_id: int, reader: Reader) -> Method | None:
    if class_id == 60:
        return decode_basic(method_id, reader)
    if class_id == 50:
        return decode_queue(method_id, reader)
    if class_id == 40:
        return decode_exchange(method_id, reader)
    if class_id == 20:
        return decode_channel(method_id, reader)
    if class_id == 10:
        return decode_connection(method_id, reader)
    if class_id == 85:
        return decode_confirm(method_id, reader)
    if class_id == 90:
        return decode_tx(method_id, reader)
    if class_id == 30:
        return decode_access(method_id, reader)
    return None
