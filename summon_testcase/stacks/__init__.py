"""What a running stack is to other processes: found by a file, spoken to through a socket.

The process that has brought a stack up is its *owner*.  It has a file in :func:`registry.directory`
that tells what runs, and serves a Unix socket beside it.  The directory has mode 0700 and the
socket 0600: whoever may speak to the owner is the same user.  Something may remove all of these
while the owner lives; it makes them anew.  Whether it lives is told by its pid, and to processes of
another PID namespace by a third file, which it keeps locked.

A request is a line of JSON, and so is the answer; a connection may carry many, one after the
other:

>>> {"do": "restart", "service": "web"}                                  # doctest: +SKIP
{"ok": true, "service": {"state": "running", "pid": 4711, ...}}
>>> {"do": "pause", "service": "wbe"}                                    # doctest: +SKIP
{"ok": false, "error": "there is no service 'wbe': …", "kind": "InvalidArgument"}

====================  ===========================================================================
``do``                what it does, and what else a request may say
====================  ===========================================================================
``describe``          answers ``stack``: what the file has, up to date; of ``service``: its part
``catch_up``          answers once all that ``service`` has written up to now is in its log
``env``               answers ``env``: for each service the variables that its clients read
``start``             starts ``service`` again that was stopped or killed, with port and files
``stop``              stops ``service``, which keeps port and files (``signal``, ``timeout``)
``kill``              kills ``service``, which keeps port and files (``signal``)
``restart``           stops and starts ``service``; ``cascade``: also those that refer to it
``pause``             freezes ``service`` until ``resume``, or until this connection is closed
``resume``            ends the pause of this connection; if it has none, those of all
``signal``            sends ``number`` to ``service`` (``everything``: to all its processes)
``reset``             resets ``service``
``down``              stops everything; the answer comes when all is gone
====================  ===========================================================================

After what was done to a service, the answer has what the file says of it.  ``until_closed`` with
``stop`` or ``kill``: the service is started again when this connection is closed, if it does not
run then.

The owner does one of these at a time, but describes itself, and catches up, at any moment.
``kind`` is the name of the exception's class, of this package if it has one of that name.
"""
