"""How many of each thing are left, according to a Redis that may be slow or away."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class Unavailable(Exception):
    """The stock did not answer: whether the order was taken is not known, so try it again."""


class Stock:
    """The stock, seen over a network.

    :param patience: seconds to wait for an answer.
    """

    def __init__(self, url: str, patience: float = 5) -> None:
        self.client = redis.from_url(
            url,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            # once more, since a connection that was idle may have been lost
            retry=Retry(NoBackoff(), 1),
        )
        self.known: dict[str, int] = {}

    def left(self, item: str) -> str:
        """For customers: the number, or the last one that was known."""
        try:
            had = int(self.client.get(f"{item}:had") or 0)
            sold = int(self.client.scard(f"{item}:sold"))
        except redis.RedisError:
            return f"about {self.known[item]}" if item in self.known else "unknown"
        self.known[item] = had - sold
        return str(self.known[item])

    def take(self, item: str, order: str) -> None:
        """Take one for an order; to try it again takes no second one."""
        try:
            self.client.sadd(f"{item}:sold", order)
        except redis.RedisError as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        self.client.close()
