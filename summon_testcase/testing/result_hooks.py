"""Words of ours in the reports of others: what a runner's result object is told.

Runners print tests that fail in ways of their own, but all of them are told by methods of the
result object, with the exception.  While a test runs these methods are ours.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..clean import encodable
from ..errors import SummonError
from ..foreign import let_through, suppress
from ..tracebacks import hidden
from .selection import is_in
from .unstarted import services_not_up
from .watch import PATIENCE, Watch

__unittest = True
__tracebackhide__ = hidden

_FAILURES = ("addError", "addFailure", "addSubTest")
_PASSES = ("addSuccess", "addExpectedFailure", "addUnexpectedSuccess")
_MISSING = object()


class _Note(str):
    """A note of ours, to be found again on an exception that is raised by several tests."""


class _Hook:
    """A method of a result object, while a test runs."""

    def __init__(self, name: str, result: Any, call: Callable[..., Any]) -> None:
        self.name, self._result, self._call = name, result, call
        #: what the result object had in its place, and whether the test is over
        self.former: object = getattr(result, "__dict__", {}).get(name, _MISSING)
        self.over = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Django's parallel runner pickles results while a test runs
        return getattr, (self._result, self.name)


@contextmanager
def reported(test: object, result: Any, watch: Watch) -> Iterator[None]:
    """While a test runs: what is reported of it has the words about its services."""
    reporter = _Reporter(test, result, watch)
    hooks: list[_Hook] = []
    for name in (*_FAILURES, *_PASSES):
        original = getattr(result, name, None)
        if original is None:
            continue
        told = reporter.failed if name in _FAILURES else reporter.passed
        hook = _Hook(name, result, functools.partial(told, original))
        try:
            setattr(result, name, hook)
        except AttributeError:  # it has slots
            continue
        hooks.append(hook)
    try:
        yield
    finally:
        for hook in hooks:
            hook.over = True
            # another thread, whose test is not over yet, may have put one in its place
            while isinstance(now := getattr(result, hook.name, None), _Hook) and now.over:
                if now.former is _MISSING:
                    delattr(result, hook.name)
                else:
                    setattr(result, hook.name, now.former)


class _Reporter:
    def __init__(self, test: object, result: Any, watch: Watch) -> None:
        self._test, self._result, self._watch = test, result, watch
        #: what has been told, and in which words: green reports a failed subTest twice
        self._seen: list[tuple[object, object]] = []

    def failed(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In place of addError, addFailure and addSubTest."""
        if args and args[0] is self._test:
            args = tuple(self._told(value) for value in args)
            kwargs = {key: self._told(value) for key, value in kwargs.items()}
        return original(*args, **kwargs)

    def passed(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In place of addSuccess and its like: a death is an error nevertheless."""
        if args and args[0] is self._test:
            self._watch.look(ask_too=True)
            death = self._watch.fatal()
            if death is not None:
                try:
                    services_not_up(death, None)
                except Exception as error:
                    let_through(error)
                    return self._result.addError(self._test, sys.exc_info())
        return original(*args, **kwargs)

    def _told(self, value: Any) -> Any:
        """An argument of such a method; if it is an exception, with our words."""
        seen = next((told for thing, told in self._seen if thing is value), None)
        if seen is not None:
            return seen
        told = value
        if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
            told = (value[0], self._explained(value[1]), value[2])
        elif isinstance(getattr(value, "value", None), BaseException):  # trial's Failure
            value.value = self._explained(value.value)
        elif isinstance(value, dict) and value and "testtools.content" in sys.modules:
            # its exceptions are text by now
            self._watch.look(PATIENCE, ask_too=True)
            text = self._fit(self._watch.text())
            text_content = sys.modules["testtools.content"].text_content
            if text and self._watch.reason is None:
                value["services"] = text_content(text)
            for name, content in value.items():
                with suppress(Exception):  # it may be no text
                    said = content.as_text()
                    if self._fit(said) != said:
                        value[name] = text_content(self._fit(said))
        else:
            return value
        self._seen.append((value, told))
        return told

    def _explained(self, error: BaseException) -> BaseException:
        seen = next((told for thing, told in self._seen if thing is error), None)
        if isinstance(seen, BaseException):
            return seen
        told = error
        if error is not self._watch.reason:
            self._watch.look(PATIENCE, ask_too=True)
        for each in [*_chain(error), *self._watch.deaths]:
            _make_fit(each, self._fit)
        if error is not self._watch.reason:
            told = explained(error, self._watch, self._style(), self._fit)
        self._seen += [(error, told), (told, told)]
        return told

    def _fit(self, text: str) -> str:
        """Text that the runner can write."""
        stream = getattr(self._result, "stream", None) or getattr(self._result, "_stream", None)
        return encodable(text, stream)

    def _style(self) -> str:
        """How this runner prints what is said beside an exception's own message."""
        modules = {kind.__module__ for kind in type(self._result).__mro__}
        if any(module.startswith("twisted.trial") for module in modules):
            return "message"
        if sys.version_info < (3, 11) and not any(m.startswith("_pytest") for m in modules):
            return "message"
        return "notes alone" if any(m.startswith("zope.") for m in modules) else "notes"


def explained(
    error: BaseException,
    watch: Watch,
    style: str = "notes",
    fit: Callable[[str], str] = encodable,
) -> BaseException:
    """An exception that names a death as its cause, and tells what the services wrote.

    :param style: "notes" where notes and causes are printed; "notes alone" where causes are
        not; "message" where only the message is sure to be, for which a copy of the exception
        is made.
    :param fit: makes a text one that the runner can write; default: one for standard output.
    """
    deaths = watch.deaths
    if style != "message":
        cause = deaths[0] if deaths else None
        text = fit(watch.text(in_short=cause if style == "notes" else None, without=error))
        former = getattr(error, "__notes__", [])
        notes = [note for note in former if not isinstance(note, _Note)]
        with suppress(AttributeError):  # of a frozen dataclass
            if cause is not None and not any(earlier is cause for earlier in _chain(error)):
                list(_chain(error))[-1].__cause__ = cause
            if text or notes != former:
                error.__notes__ = [*notes, _Note(f"\n{text}")] if text else notes  # type: ignore[attr-defined]
        return error
    text = fit(watch.text(without=error))
    caused = bool(deaths) and not is_in(error, deaths)
    return _copied(error, text, first=caused) if text else error


def _make_fit(error: BaseException, fit: Callable[[str], str]) -> None:
    """Spell out, in what an exception says, what cannot be written."""

    def fitted(value: Any) -> Any:
        if isinstance(value, str):
            return value if fit(value) == value else type(value)(fit(value))
        return type(value)(map(fitted, value)) if type(value) in (tuple, list) else value

    with suppress(Exception):
        if fit(str(error)) != str(error):
            error.args = fitted(error.args)
        report = getattr(error, "report", None)
        if isinstance(error, SummonError) and report is not None:
            error.report = report._make(map(fitted, report))
            error.consequences = fitted(error.consequences)
        if hasattr(error, "__notes__"):
            error.__notes__ = fitted(error.__notes__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that led to it."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and not any(following is earlier for earlier in seen):
        seen.append(following)
        yield following
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)


def _copied(error: BaseException, text: str, first: bool) -> BaseException:
    """The same exception with more to say; the same one where it cannot be copied."""
    kind = type(error)
    said = str(error)
    words = f"{text}\n\n{said}" if first else f"{said}\n\n{text}"
    try:
        wordy = type(
            kind.__name__,
            (kind,),
            {
                "__module__": kind.__module__,
                "__qualname__": kind.__qualname__,
                "__str__": lambda self: words,
                "__reduce__": lambda self: (_copied, (error, text, first)),
            },
        )
        copy: BaseException = wordy.__new__(wordy, *error.args)
        copy.args = error.args
        copy.__dict__.update(vars(error))
    except Exception as refusal:
        let_through(refusal)
        error.args = (*error.args, text)
        return error
    copy.__cause__, copy.__context__ = error.__cause__, error.__context__
    copy.__suppress_context__ = error.__suppress_context__
    return copy.with_traceback(error.__traceback__)
