"""Django imports a database backend's `base`."""

from __future__ import annotations

from django.db.backends.postgresql import base

from relcoord.lib.sockets import has_news


class DatabaseWrapper(base.DatabaseWrapper):
    """Each request looks whether the connection it was left is still good (`CONN_HEALTH_CHECKS`).

    Django asks `SELECT 1`: one trip to the server in five of an unchanged poll's. A server that ends a connection, or
    dies, is heard of by the socket, which has nothing to read as long as all is well. Only when there is something
    is the server asked: it may be a notice. A server that is gone without a word shows with the first statement, as
    it would with `SELECT 1`, after `tcp_user_timeout`.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        return super().is_usable() if has_news(self.connection.fileno()) else True
