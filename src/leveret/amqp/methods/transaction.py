"""The tx class: transactions."""

from __future__ import annotations

from typing import Final

from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader

CLASS_ID: Final = 90


class TxSelect(Method):
    """tx.select: put the channel into transaction mode."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 10, "tx.select")

    @staticmethod
    def decode(reader: Reader) -> TxSelect:
        """Read the arguments."""
        return TxSelect()


class TxSelectOk(Method):
    """tx.select-ok: the channel is in transaction mode."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 11, "tx.select-ok")

    @staticmethod
    def decode(reader: Reader) -> TxSelectOk:
        """Read the arguments."""
        return TxSelectOk()


class TxCommit(Method):
    """tx.commit: make the publishes and acknowledgements since the last commit happen."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 20, "tx.commit")

    @staticmethod
    def decode(reader: Reader) -> TxCommit:
        """Read the arguments."""
        return TxCommit()


class TxCommitOk(Method):
    """tx.commit-ok: they happened."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 21, "tx.commit-ok")

    @staticmethod
    def decode(reader: Reader) -> TxCommitOk:
        """Read the arguments."""
        return TxCommitOk()


class TxRollback(Method):
    """tx.rollback: forget the publishes and acknowledgements since the last commit."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 30, "tx.rollback")

    @staticmethod
    def decode(reader: Reader) -> TxRollback:
        """Read the arguments."""
        return TxRollback()


class TxRollbackOk(Method):
    """tx.rollback-ok: they are forgotten."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 31, "tx.rollback-ok")

    @staticmethod
    def decode(reader: Reader) -> TxRollbackOk:
        """Read the arguments."""
        return TxRollbackOk()


def decode_tx(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a tx method; None for an unknown method id."""
    if method_id == 10:
        return TxSelect.decode(reader)
    if method_id == 11:
        return TxSelectOk.decode(reader)
    if method_id == 20:
        return TxCommit.decode(reader)
    if method_id == 21:
        return TxCommitOk.decode(reader)
    if method_id == 30:
        return TxRollback.decode(reader)
    if method_id == 31:
        return TxRollbackOk.decode(reader)
    return None
