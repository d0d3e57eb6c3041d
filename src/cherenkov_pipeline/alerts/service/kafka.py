"""Notices from GCN's Kafka topics, dropped into the inbox as files: ``pip install 'cherenkov-pipeline[kafka]'``.

The sub-images are not in the notices: they arrive as files. A message is acknowledged when its file lies in the inbox;
one that comes twice is a duplicate there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cherenkov_pipeline.alerts.service.intake import shown
from cherenkov_pipeline.alerts.service.notices import LARGEST_NOTICE
from cherenkov_pipeline.alerts.service.outputs import safe_name
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import write_durably

TOPIC = "gcn.notices.svom.voevent.eclairs"

PAUSE = 5.0
"""Seconds to wait after an error of the connection."""


class Consumer(Protocol):
    """What is needed of ``gcn_kafka.Consumer``, which is confluent_kafka's."""

    def subscribe(self, topics: list[str]) -> None:
        """Ask for the messages of topics."""

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Any]:
        """Wait for messages."""

    def commit(self, message: Any = None, asynchronous: bool = True) -> Any:
        """Acknowledge a message."""

    def close(self) -> None:
        """Leave."""


def gcn_consumer(client_id: str, client_secret: str, group: str, domain: str = "gcn.nasa.gov") -> Consumer:
    """Connect to GCN.

    Parameters
    ----------
    client_id, client_secret : str
        From https://gcn.nasa.gov/quickstart.
    group : str
        Name under which GCN remembers what has been read.
    domain : str
        Of the brokers.

    Raises
    ------
    UserError
        If gcn-kafka is not installed, or there are no credentials.
    """
    if not (client_id and client_secret):
        raise UserError("GCN wants credentials: set GCN_CLIENT_ID and GCN_CLIENT_SECRET (gcn.nasa.gov/quickstart).")
    try:
        import gcn_kafka
    except ImportError:
        raise UserError("Notices from GCN need gcn-kafka: pip install 'cherenkov-pipeline[kafka]'.") from None
    # the first time all that GCN still has: what came before the first acknowledgement is not to be lost
    config = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return gcn_kafka.Consumer(config=config, client_id=client_id, client_secret=client_secret, domain=domain)


def receive_notices(
    consumer: Consumer,
    inbox: Path,
    stop: Callable[[], bool],
    tell: Callable[[str], None] = print,
    topics: Sequence[str] = (TOPIC,),
    pause: float = PAUSE,
) -> int:
    """Drop notices into the inbox until ``stop`` says True.

    Trouble of the connection is told, and waited for.

    Returns
    -------
    int
        Number of notices.

    Raises
    ------
    OSError, TemporaryError
        If a notice cannot be written.
    """

    def wait(problem: Any) -> None:
        tell(shown(f"GCN: {problem}"))
        time.sleep(pause)

    @contextmanager
    def patience() -> Iterator[None]:
        try:
            yield
        except Exception as error:  # confluent_kafka's own errors have no narrower base
            wait(error)

    n_notices, is_subscribed = 0, False
    try:
        while not stop():
            messages: list[Any] = []
            with patience():
                if not is_subscribed:
                    consumer.subscribe(list(topics))
                    is_subscribed = True
                messages = consumer.consume(num_messages=10, timeout=1)
            for message in messages:
                if message.error() is not None:
                    wait(message.error())
                    continue
                n_notices += _drop(message, inbox, tell)
                with patience():  # what is not acknowledged may come again, as a duplicate
                    consumer.commit(message=message, asynchronous=False)
    finally:
        consumer.close()
    return n_notices


def _drop(message: Any, inbox: Path, tell: Callable[[str], None]) -> int:
    content = message.value() or b""
    name = f"{safe_name(message.topic())}-{message.partition()}-{message.offset()}.xml"
    if not 0 < len(content) <= LARGEST_NOTICE:
        tell(f"GCN: {name} has {len(content):,} bytes and is left out")
        return 0
    # hidden until it is complete: the inbox leaves out names that begin with a dot
    write_durably({inbox / name: content})
    return 1
