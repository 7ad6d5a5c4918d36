"""The store on the local disk: the message log and the definitions, and the threads that write and read them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

from leveret.broker.backing_queue import BackingQueue
from leveret.broker.binding import Binding
from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.deduplication import QueueIdentifiers
from leveret.broker.defaults import Defaults
from leveret.broker.delay_queue import DelayQueue
from leveret.broker.durability import NOT_STORED, PENDING, Store
from leveret.broker.exchange.base import Exchange
from leveret.broker.message import Message
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.policy import Policy
from leveret.broker.queue import Queue
from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost
from leveret.store.batch import Batch, Group
from leveret.store.compaction import CopyForward
from leveret.store.definition_changes import Changes
from leveret.store.definitions import Definitions
from leveret.store.files import Files
from leveret.store.loaded_definitions import LoadedDefinitions
from leveret.store.log import MessageLog
from leveret.store.queue_ids import QueueIds
from leveret.store.reader import LogReader, ReadAhead, places_of
from leveret.store.recovery import RecoveredDelays, Recovery
from leveret.store.restoration import first_definitions, restore_definitions
from leveret.store.segment import SEGMENT_SIZE
from leveret.store.segment_files import SegmentFiles
from leveret.store.worker import Job, Post, Worker

log: Final = logging.getLogger("leveret.store")

QUEUE_WINDOW: Final[i64] = 16 * 1024 * 1024  # octets of content one queue keeps in memory
SMALL_WINDOW: Final[i64] = 64 * 1024  # and when all queues together have more than RESIDENT_LIMIT
COPY_INTERVAL: Final = 3.0  # seconds between looks for segments to copy forward
RESIDENT_LIMIT: Final[i64] = 128 * 1024 * 1024
GROUP_ENOUGH: Final[i64] = 256 * 1024  # octets of content, and settles, from which on a group is not added to
GROUP_SETTLES: Final = 1024


class Commit(Job):
    """Commits the definitions that were changed."""

    def __init__(
        self, store: LocalStore, changes: Changes, added: list[int], deleted: list[Queue], number: int
    ) -> None:
        self.store: Final = store
        self.added: Final = added  # ids of queues
        self.deleted: Final = deleted
        self.changes: Final = changes
        self.number: Final = number

    def run(self) -> None:
        """Commit; on the definitions' thread."""
        self.store.definitions.commit(self.changes)

    def done(self) -> None:
        """Let go of who waits for it; on the event loop."""
        for queue in self.deleted:
            queue.bury()
        self.store.committed_now(self.number, self.added)


class LocalStore(Store):
    """Keeps messages and definitions in a folder."""

    def __init__(
        self,
        definitions_path: str,
        messages_path: str,
        files: Files,
        sync: str,
        post: Post,
        failed: Callable[[BaseException], None],
        segment_size: int = SEGMENT_SIZE,
        defaults: Defaults | None = None,
    ) -> None:
        super().__init__(True)
        self.sync: Final = sync
        self._failed: Final = failed
        self._broker: Broker | None = None
        self._sync_interval = float(sync.partition("=")[2] or 0) / 1000
        self._next_sync = 0.0
        first = first_definitions(Defaults() if defaults is None else defaults, os.urandom)
        self.definitions: Final = Definitions(definitions_path, first)
        self.loaded: Final[LoadedDefinitions] = self.definitions.load()
        self.segment_files: Final = SegmentFiles(files, messages_path)
        self._writer: Final = Worker("leveret-writer", post, failed)
        self._reader: Final = Worker("leveret-reader", post, failed)
        self._committer: Final = Worker("leveret-definitions", post, failed)
        self._log: Final = MessageLog(self.segment_files, self._writer, sync == "always", self.batch_done, segment_size)
        self._log_reader: Final = LogReader(self.segment_files)
        self._loop_reader: Final = LogReader(self.segment_files)
        self._reading: Final[dict[BackingQueue, ReadAhead]] = {}
        self._group: Group | None = None
        self._group_depth = 0
        self._queue_ids: Final = QueueIds(self.loaded.next_queue_id, self._transient_queue_ids)
        self._changes = Changes()
        self._added: list[int] = []  # ids of queues whose definition is among the changes
        self._deleted: list[Queue] = []  # queues whose deletion is
        self._commit_number = 0  # of the last commit begun
        self._committed = 0
        self._held: dict[int, list[Connection]] = {}  # by the number of the commit they wait for
        self._called_back: dict[int, list[Callable[[], None]]] = {}
        self._unconfirmed: list[Batch] = []  # written, but some definition before it is not committed
        self.residency.queue_limit = QUEUE_WINDOW

    # start and stop

    def restore(self, broker: Broker) -> Recovery:
        """Give the broker what was kept, and keep for it from now on. Raises NewerFormat, OSError."""
        self._broker = broker
        broker.timers.after(COPY_INTERVAL, self._copy_sparse)
        if self._sync_interval > 0:
            broker.timers.after(self._sync_interval, self._sync_again)
        queues = restore_definitions(broker, self.loaded)
        delay_queues = {queue_id for queue_id, queue in queues.items() if queue.is_delay_queue}
        recovery = Recovery(self.segment_files, set(queues), True, delay_queues)
        recovery.run()
        self._queue_ids.restored(recovery.known_queue_ids | {queue.id for queue in self.loaded.queues})
        for segment in recovery.segments.values():
            self._log.adopt(segment)
        for (queue_id, priority), found in recovery.queues.items():
            queue = queues[queue_id]
            if isinstance(queue, DelayQueue) and isinstance(found, RecoveredDelays):
                queue.delayed.restore_delayed(found.entries.getvalue(), found.octets, found.positions)
                queue.touch()
                continue
            backing = queue.level(priority)
            backing.restore(found.backlog, found.next_position, found.redelivered, found.octets)
            queue.expiring = queue.expiring or found.expires
        for queue in queues.values():
            if queue.identifiers is not None:
                self._restore_identifiers(queue, queue.identifiers)
            queue.apply(queue.settings)  # also to what was restored, and from now on
        self._log.begin(recovery.next_number)
        return recovery

    def _restore_identifiers(self, queue: Queue, identifiers: QueueIdentifiers) -> None:
        """A queue that drops duplicates knows what it has: its messages are read, once."""
        for level in queue.levels:
            position = level.head
            for page in [] if level.backlog is None else level.backlog.pages_of_places():
                for place in places_of(page):
                    message = self._loop_reader.message(place)
                    if message is not None:
                        identifiers.restored(message, position)
                    position += 1
        self._loop_reader.forget()

    def _copy_sparse(self) -> None:
        if self._broker is not None:
            self._log.copy_sparse()
            self._broker.timers.after(COPY_INTERVAL, self._copy_sparse)

    def _sync_again(self) -> None:
        """Timers start a tick, and a tick syncs what is due."""
        if self._broker is not None:
            self._broker.timers.after(self._sync_interval, self._sync_again)

    def idle(self) -> bool:
        """Whether all is written that there is to write."""
        return self._log.idle() and self._committed == self._commit_number and not self._changes

    def close(self) -> None:
        """Write what is pending and end the threads."""
        self._committer.stop()
        self._writer.stop()
        self._reader.stop()
        self.segment_files.close()
        self.definitions.close()

    # messages

    def persist(self, message: Message) -> None:
        message.place = PENDING
        if self._group is not None:
            self._group.messages.append(message)
            self._group.octets += len(message.content)
        else:
            self._log.pending.append(message)
        self._log.pending_octets += len(message.content)

    def page_out(self, message: Message, queue: BackingQueue, position: i64) -> Message:
        own = Message(message.address, message.content, message.frame_max, False, message.time, message.expiration)
        own.place = PENDING
        own.add_target(queue, position)
        self._log.pending.append(own)
        self._log.pending_octets += len(own.content)
        return own

    def leaves_memory(self, queue: BackingQueue) -> None:
        self._log.behind[queue] = None

    def settle(self, message: Message, queue_id: i64) -> None:
        if self._group is not None:
            self._group.settled.append((message, queue_id))
        else:
            self._log.settle(message, queue_id)

    def settle_place(self, place: i64, queue_id: i64) -> None:
        self._log.settle_place(place, queue_id)

    def delivered(self, queue_id: i64, place: i64) -> None:
        try:
            self._log.mark_now(queue_id, place)
        except OSError as error:
            self._failed(error)

    def read_ahead(self, queue: BackingQueue, places: bytes) -> None:
        job = self._read_job(queue, places, self._log_reader)
        self._reading[queue] = job
        self._reader.submit(job)

    def read_now(self, queue: BackingQueue, places: bytes) -> None:
        job = self._read_job(queue, places, self._loop_reader)
        self._reading[queue] = job
        try:
            job.run()
        except OSError as error:
            self._failed(error)
            raise
        job.done()

    def read_place(self, place: i64) -> Message | None:
        place = self._log.resolve(place)
        message = None if place == NOT_STORED else self._loop_reader.message(place)
        self._loop_reader.forget()
        return message

    def finish_reading(self, queue: BackingQueue) -> None:
        job = self._reading.get(queue)
        if job is not None:
            job.finished.wait()
            job.done()

    def _read_job(self, queue: BackingQueue, page: bytes, reader: LogReader) -> ReadAhead:
        resolved = [int(self._log.resolve(place)) for place in places_of(page)]
        places = [place for place in resolved if place != NOT_STORED]
        pinned = [self._log.segments[number] for number in dict.fromkeys(place >> 32 for place in places)]
        for segment in pinned:
            segment.readers += 1
        job = ReadAhead(self, reader, queue, places, pinned)
        job.lost.extend([int(NOT_STORED)] * (len(resolved) - len(places)))
        return job

    def read_done(self, job: ReadAhead) -> None:
        """A read-ahead is finished."""
        del self._reading[job.queue]
        for segment in job.pinned:
            segment.readers -= 1
        for place in job.lost:
            self._log.settle_place(place, job.queue.id)
        job.queue.paged_in(job.messages, len(job.lost), job.unread())

    def await_sync(self, channel: Channel) -> None:
        self._log.waiting[channel] = None

    def begin_group(self) -> None:
        self._group_depth += 1
        if self._group is None:
            self._group = self._growing_group() or Group()

    def _growing_group(self) -> Group | None:
        """The group before this one, if nothing came between them and it is small: one record costs less than two."""
        last = self._log.pending[-1] if self._log.pending else None
        if isinstance(last, Group) and last.octets < GROUP_ENOUGH and len(last.settled) < GROUP_SETTLES:
            self._log.pending.pop()
            return last
        return None

    def end_group(self, connection: Connection | None) -> None:
        self._group_depth -= 1
        group = self._group
        if self._group_depth or group is None:
            return
        self._group = None
        if group.messages or group.settled:
            self._log.pending.append(group)
            if connection is not None:
                self._log.held.append(connection)
                connection.holds += 1

    # definitions

    def new_queue_id(self, durable: bool) -> int:
        return self._queue_ids.durable() if durable else self._queue_ids.transient()

    def _transient_queue_ids(self) -> set[int]:
        found: set[int] = set()
        for vhost in [] if self._broker is None else self._broker.vhosts.values():
            queues = [*vhost.queues.values(), *vhost.reply_queues.values()]
            queues += [each.delay_queue for each in vhost.exchanges.values() if each.delay_queue is not None]
            found.update([int(queue.id) for queue in queues if not queue.durable])
        return found

    def vhost_set(self, vhost: VirtualHost) -> None:
        self._changes.set_vhost(vhost.name, vhost.description, vhost.tags, vhost.default_queue_type, vhost.protected)

    def vhost_deleted(self, name: str, queues: list[Queue]) -> None:
        self._changes.delete_vhost(name)
        self._deleted += queues

    def user_set(self, user: User) -> None:
        self._changes.set_user(user)

    def user_deleted(self, name: str) -> None:
        self._changes.delete_user(name)

    def permission_set(self, permission: Permission) -> None:
        self._changes.set_permission(permission)

    def permission_cleared(self, user: str, vhost: str) -> None:
        self._changes.clear_permission(user, vhost)

    def topic_permission_set(self, topic: TopicPermission) -> None:
        self._changes.set_topic_permission(topic)

    def topic_permission_cleared(self, user: str, vhost: str, exchange: str) -> None:
        self._changes.clear_topic_permission(user, vhost, exchange)

    def queue_added(self, vhost: str, queue: Queue) -> None:
        self._changes.add_queue(int(queue.id), vhost, queue.name, queue.auto_delete, queue.arguments, queue.user)
        self._added.append(int(queue.id))

    def queue_paused(self, queue: Queue) -> None:
        self._changes.pause_queue(int(queue.id), queue.paused)

    def queue_deleted(self, vhost: str, queue: Queue) -> None:
        self._changes.delete_queue(int(queue.id))
        self._deleted.append(queue)

    def exchange_added(self, vhost: str, exchange: Exchange) -> None:
        self._changes.add_exchange(
            vhost, exchange.name, exchange.type_name, exchange.auto_delete, exchange.internal, exchange.arguments
        )

    def exchange_deleted(self, vhost: str, exchange: Exchange) -> None:
        self._changes.delete_exchange(vhost, exchange.name)

    def binding_added(self, vhost: str, binding: Binding) -> None:
        destination = binding.destination
        self._changes.add_binding(
            vhost, binding.source.name, destination.kind, destination.name, binding.routing_key, binding.arguments
        )

    def binding_removed(self, vhost: str, binding: Binding) -> None:
        destination = binding.destination
        self._changes.delete_binding(
            vhost, binding.source.name, destination.kind, destination.name, binding.routing_key, binding.arguments
        )

    def policy_set(self, vhost: str, policy: Policy, operator: bool) -> None:
        self._changes.set_policy(
            vhost, operator, policy.name, policy.pattern.text, policy.apply_to, policy.told, policy.priority
        )

    def policy_cleared(self, vhost: str, name: str, operator: bool) -> None:
        self._changes.clear_policy(vhost, operator, name)

    def vhost_limits_set(self, vhost: str, limits: dict[str, int]) -> None:
        self._changes.set_vhost_limits(vhost, limits)

    def user_limits_set(self, user: str, limits: dict[str, int]) -> None:
        self._changes.set_user_limits(user, limits)

    def parameter_set(self, vhost: str, component: str, name: str, value: object) -> None:
        self._changes.set_parameter(vhost, component, name, value)

    def parameter_cleared(self, vhost: str, component: str, name: str) -> None:
        self._changes.clear_parameter(vhost, component, name)

    def global_parameter_set(self, name: str, value: object) -> None:
        self._changes.set_global_parameter(name, value)

    def global_parameter_cleared(self, name: str) -> None:
        self._changes.clear_global_parameter(name)

    def _commit_to_wait_for(self) -> int:
        """The number of the commit with the last change in it."""
        return self._commit_number + 1 if self._changes else self._commit_number

    def when_committed(self, callback: Callable[[], None]) -> None:
        number = self._commit_to_wait_for()
        if number > self._committed:
            self._called_back.setdefault(number, []).append(callback)
        else:
            callback()

    def hold_for_definitions(self, connection: Connection) -> None:
        number = self._commit_to_wait_for()
        if number > self._committed:
            self._held.setdefault(number, []).append(connection)
            connection.holds += 1

    def committed_now(self, number: int, added: list[int]) -> None:
        """The definitions of a tick are on disk, those of queues with these ids among them."""
        self._committed = number
        for queue_id in added:
            del self._log.uncommitted[queue_id]
        for connection in self._held.pop(number, []):
            self._let_go(connection)
        for callback in self._called_back.pop(number, []):
            callback()
        waiting, self._unconfirmed = self._unconfirmed, []
        for batch in waiting:
            self._confirm(batch)

    # the tick

    def end_tick(self) -> None:
        if self._changes:
            self._commit_number += 1
            self._log.uncommitted.update(dict.fromkeys(self._added, self._commit_number))
            self._committer.submit(Commit(self, self._changes, self._added, self._deleted, self._commit_number))
            self._changes = Changes()
            self._added, self._deleted = [], []
        if self._sync_interval > 0 and self._broker is not None:
            now = self._broker.timers.now
            if now >= self._next_sync:
                self._next_sync = now + self._sync_interval
                self._log.sync_due = True
        over = self.residency.resident > RESIDENT_LIMIT
        self.residency.queue_limit = SMALL_WINDOW if over else QUEUE_WINDOW
        if self._log.waiting and self._log.waiting_since == 0.0 and self._broker is not None:
            self._log.waiting_since = self._broker.timers.now
        self._log.start_batch(self._commit_number)

    def batch_done(self, batch: Batch) -> None:
        """A batch is on disk: confirm what it was for, once the definitions it relies on are too."""
        self.figures.written(batch.octets, batch.synced, batch.sync_seconds)
        self._confirm(batch)
        for segment in batch.to_copy:
            self._reader.submit(CopyForward(self, self._log_reader, segment))

    def _confirm(self, batch: Batch) -> None:
        if batch.commit > self._committed:
            self._unconfirmed.append(batch)
            return
        if self._log.complete_early(batch):
            self._log.held += batch.held
            batch.held = []
        for channel, tag in batch.confirms:
            channel.confirm_through(tag)
        for connection in batch.held:
            self._let_go(connection)
        if batch.confirms and batch.waiting_since > 0.0 and self._broker is not None:
            self.figures.confirm_seconds.observe(self._broker.timers.now - batch.waiting_since)

    def _let_go(self, connection: Connection) -> None:
        if self._broker is not None:
            self._broker.release(connection)

    def copied(self, job: CopyForward) -> None:
        """What is alive in a sparse segment was read."""
        self._log.add_copies(job.segment, job.copies, job.lost)

    def backed_up(self) -> bool:
        """Whether so much waits to be written that publishers should wait too."""
        return self._log.pending_octets > 64 * 1024 * 1024

    def segment_count(self) -> int:
        return len(self._log.segments)

    def describe(self) -> dict[str, object]:
        """When it syncs, and figures of the message log; octets are those of its files, the indexes included."""
        log = self._log
        return {
            "sync": self.sync,
            "segments": len(log.segments),
            "octets": self.segment_files.octets(),
            "live": sum([int(segment.live) for segment in log.segments.values()]),
            "pending": len(log.pending),
            "pending_octets": int(log.pending_octets),
            "octets_in_memory": int(self.residency.resident),
        }
