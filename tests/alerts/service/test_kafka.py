import sys

import pytest
from tests.alerts.service.test_notices import notice
from tests.alerts.service.toy_service import AT_ONCE, Service

from cherenkov_pipeline.alerts.service.intake import is_unfinished
from cherenkov_pipeline.alerts.service.kafka import TOPIC, gcn_consumer, receive_notices
from cherenkov_pipeline.alerts.service.notices import LARGEST_NOTICE
from cherenkov_pipeline.errors import UserError


class Message:
    """As confluent_kafka's."""

    def __init__(self, content, offset, error=None):
        self._content, self._offset, self._error = content, offset, error

    def value(self):
        return self._content

    def error(self):
        return self._error

    def topic(self):
        return TOPIC

    def partition(self):
        return 0

    def offset(self):
        return self._offset


class FakeConsumer:
    """A broker with these messages; what is not committed comes again."""

    def __init__(self, messages, inbox):
        self.messages, self.inbox = messages, inbox
        self.topics, self.committed, self.at, self.closed = [], [], 0, False

    def subscribe(self, topics):
        self.topics = topics

    def consume(self, num_messages=1, timeout=-1):
        assert self.topics
        batch = self.messages[self.at : self.at + 2]
        self.at += len(batch)
        return batch

    def commit(self, message=None, asynchronous=True):
        assert not asynchronous
        self.committed.append(message.offset())
        if 0 < len(message.value() or b"") < LARGEST_NOTICE:
            # acknowledged only when it lies in the inbox, whole
            files = [path for path in self.inbox.iterdir() if not is_unfinished(path.name)]
            assert message.value() in [path.read_bytes() for path in files]

    def close(self):
        self.closed = True


@pytest.fixture
def service(tmp_path, bundle):
    return Service(tmp_path, bundle)


def receive(messages, service):
    consumer, said = FakeConsumer(messages, service.folder), []
    n = receive_notices(consumer, service.folder, lambda: consumer.at >= len(messages), said.append, pause=0)
    return consumer, n, said


def test_notices_reach_the_inbox(service):
    messages = [Message(notice(f"sb{number}").encode(), number) for number in range(3)]
    messages.insert(1, Message(None, -1, error="broker is\naway"))
    messages.append(Message(notice("sb0").encode(), 7))  # sent twice
    consumer, n, said = receive(messages, service)
    assert (consumer.topics, consumer.committed, consumer.closed) == ([TOPIC], [0, 1, 2, 7], True)
    assert n == 4
    assert said == ["GCN: broker is\ufffdaway"]
    service.look(AT_ONCE)
    assert [line["burst_id"] for line in service.lines("notice")] == ["sb0", "sb1", "sb2"]
    assert [line["code"] for line in service.lines("rejected")] == ["duplicate"]


def test_empty_and_huge_messages_are_left_out(service):
    _, n, said = receive([Message(b"", 1), Message(None, 2), Message(b" " * (LARGEST_NOTICE + 1), 3)], service)
    assert (n, len(said)) == (0, 3)
    assert service.left() == []


def test_message_whose_file_cannot_be_written_is_not_acknowledged(service):
    service.folder.rmdir()
    service.folder.write_text("in the way")
    consumer = FakeConsumer([Message(notice().encode(), 1)], service.folder)
    with pytest.raises(OSError, match=r"exists|directory"):
        receive_notices(consumer, service.folder, lambda: False, print)
    assert consumer.committed == []
    assert consumer.closed


class KafkaException(Exception):  # noqa: N818 - confluent_kafka's name
    """As confluent_kafka's: neither OSError nor UserError."""


@pytest.mark.parametrize("name", ["subscribe", "consume", "commit"])
def test_trouble_of_the_connection_is_told_and_waited_for(service, monkeypatch, name):
    messages = [Message(notice(f"sb{number}").encode(), number) for number in range(3)]
    call, calls = getattr(FakeConsumer, name), []

    def trouble(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise KafkaException("broker is\naway")
        return call(*arguments, **options)

    monkeypatch.setattr(FakeConsumer, name, trouble)
    consumer, n, said = receive(messages, service)
    assert (n, len(service.left())) == (3, 3)
    assert said == ["GCN: broker is\ufffdaway"]
    assert consumer.topics == [TOPIC]
    assert consumer.committed == ([1, 2] if name == "commit" else [0, 1, 2])
    assert consumer.closed


def test_what_is_missing_is_told(monkeypatch):
    with pytest.raises(UserError, match="GCN_CLIENT_ID"):
        gcn_consumer("", "", "group")
    monkeypatch.setitem(sys.modules, "gcn_kafka", None)
    with pytest.raises(UserError, match=r"cherenkov-pipeline\[kafka\]"):
        gcn_consumer("id", "secret", "group")


def test_consumer_is_gcns_own(monkeypatch):
    class Module:
        """Has what is used of gcn_kafka."""

        @staticmethod
        def Consumer(**options):  # noqa: N802
            return options

    monkeypatch.setitem(sys.modules, "gcn_kafka", Module)
    options = gcn_consumer("id", "secret", "group")
    assert options["config"]["group.id"] == "group"
    assert options["config"]["enable.auto.commit"] is False
    assert options["config"]["auto.offset.reset"] == "earliest"  # where nothing has been acknowledged yet
    assert (options["client_id"], options["client_secret"], options["domain"]) == ("id", "secret", "gcn.nasa.gov")
