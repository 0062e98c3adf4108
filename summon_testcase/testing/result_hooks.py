"""Adds what services wrote, and their deaths, to the reports that test runners print.

It also learns here how a test ends, and emits that.

Each runner prints failing tests in its own way, but all learn of them by methods of the result
object, which get the exception.  While a test runs, these methods are replaced by ours.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..clean import encodable
from ..errors import SummonError, sentence
from ..events import TestBegan, TestEnded, emit
from ..foreign import let_through, suppress
from ..tracebacks import hidden
from .attachments import attach
from .selection import is_in
from .unstarted import services_not_up
from .watch import PATIENCE, Watch

__unittest = True
__tracebackhide__ = hidden

_FAILURES = ("addError", "addFailure", "addSubTest")
#: methods that are called for a test that has run to its end, and the outcomes that they mean
_PASSES = {
    "addSuccess": "passed",
    "addExpectedFailure": "expected failure",
    "addUnexpectedSuccess": "unexpected success",
}
#: outcomes, the worst last: a test may fail, and its tearDown() raise an error
_OUTCOMES = ("", "skipped", *_PASSES.values(), "failed", "error")
_MISSING = object()


class _Note(str):
    """A note of ours; its type tells it from others if several tests raise one exception."""


class _Hook(functools.partial[Any]):
    """Takes the place of a method of a result object while a test runs."""

    #: the result object, and the name of its method
    result: Any
    name: str
    #: what the result object had in its place
    former: object
    #: whether the test is over
    over = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Django's parallel runner pickles results while a test runs
        return getattr, (self.result, self.name)


def begin_later(test: Any, begin: Callable[[tuple[str, ...]], object]) -> None:
    """Have the hooks of a TestCase say when a test begins, since it has services of its own.

    So one test is told of once, with all of its services.

    :param begin: called with the names of these services, once they are up, in place of emitting
        that the test begins.  The caller emits its end, too.
    """
    vars(test)["begin"] = begin


@contextmanager
def reported(test: Any, result: Any, watch: Watch, tell: bool = True) -> Iterator[None]:
    """While a test runs, add the words about its services to all reports about it.

    :param result: the result object; None for a test that runs without one.  If it looks after
        services, too, it has their names as ``service_names``.
    :param tell: whether to emit that the test begins and ends.
    """
    begin: Callable[[tuple[str, ...]], object] | None = vars(test).pop("begin", None)
    tell = tell and begin is None
    reporter = _Reporter(test, result, watch)
    hooks: list[_Hook] = []
    for name in (*_FAILURES, *_PASSES, "addSkip"):
        original = getattr(result, name, None)
        if original is None:
            continue
        told = reporter.failed if name in _FAILURES else reporter.passed
        if name == "addSkip":
            told = reporter.skipped
        hook = _Hook(told, name, original)
        hook.result, hook.name = result, name
        hook.former = getattr(result, "__dict__", {}).get(name, _MISSING)
        try:
            setattr(result, name, hook)
        except AttributeError:  # the result object has slots
            continue
        hooks.append(hook)
    try:
        if begin is not None:
            begin(watch.names)
        if tell:
            names = dict.fromkeys((*getattr(result, "service_names", ()), *watch.names))
            emit(TestBegan(test=test.id(), services=tuple(names)))
        yield
    except BaseException as error:
        reporter.note("error", sentence(error))  # debug() passes all errors on
        raise
    finally:
        for hook in hooks:
            hook.over = True
            # another thread, whose test is not over yet, may have put its hook above ours
            while isinstance(now := getattr(result, hook.name, None), _Hook) and now.over:
                if now.former is _MISSING:
                    delattr(result, hook.name)
                else:
                    setattr(result, hook.name, now.former)
        if tell:
            emit(TestEnded(test=test.id(), outcome=reporter.outcome, message=reporter.message))


class Ending:
    """How a test has ended, and what its exceptions say; of several outcomes the worst counts."""

    def __init__(self) -> None:
        self.outcome = self.message = ""

    def note(self, outcome: str, message: str) -> None:
        """Note one outcome of the test, and what its exception says."""
        self.outcome = max(self.outcome, outcome, key=_OUTCOMES.index)
        self.message = "\n".join(filter(None, dict.fromkeys([self.message, message])))


class _Reporter(Ending):
    def __init__(self, test: Any, result: Any, watch: Watch) -> None:
        super().__init__()
        self._test, self._result, self._watch = test, result, watch
        #: whether the runner knows the logs
        self._attached = False
        #: errors, and what we made of them: green reports a failed subTest twice
        self._seen: list[tuple[object, object]] = []

    def skipped(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Takes the place of addSkip."""
        if args and args[0] is self._test:
            self.note("skipped", _words((*args[1:], *kwargs.values())))
        return original(*args, **kwargs)

    def failed(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Takes the place of addError, addFailure and addSubTest."""
        if args and args[0] is self._test:
            self._note_failure(name, (*args[1:], *kwargs.values()))
            args = tuple(self._told(value) for value in args)
            kwargs = {key: self._told(value) for key, value in kwargs.items()}
        return original(*args, **kwargs)

    def passed(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Takes the place of addSuccess and the like: a death makes an error of the success."""
        if args and args[0] is self._test:
            self._watch.look(at_its_end=True)
            death = self._watch.fatal()
            if death is not None:
                try:
                    services_not_up(death, None)
                except Exception as error:
                    let_through(error)
                    return self._result.addError(self._test, sys.exc_info())
            self.note(_PASSES[name], _words((*args[1:], *kwargs.values())))
        return original(*args, **kwargs)

    def _note_failure(self, name: str, values: tuple[Any, ...]) -> None:
        """Note an error, a failure or the end of a subtest, by the arguments that tell of it."""
        message, where = _words(values), ""
        if name == "addSubTest":
            error = _exception_in(values)
            if error is None:
                return
            name = "addFailure" if isinstance(error, self._test.failureException) else "addError"
            where = values[0].id().removeprefix(self._test.id()).strip()
        self.note("failed" if name == "addFailure" else "error", f"{where} {message}".strip())

    def _told(self, value: Any) -> Any:
        """An argument for the original method; an exception gets our words."""
        seen = next((told for thing, told in self._seen if thing is value), None)
        if seen is not None:
            return seen
        told = value
        if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
            told = (value[0], self._explained(value[1]), value[2])
        elif isinstance(getattr(value, "value", None), BaseException):  # trial's Failure
            value.value = self._explained(value.value)
        elif isinstance(value, dict) and value and "testtools.content" in sys.modules:
            # testtools has made text of its exceptions by now
            self._watch.look(PATIENCE, at_its_end=True)
            text = self._fit(self._watch.text())
            text_content = sys.modules["testtools.content"].text_content
            if text and self._watch.reason is None:
                value["services"] = text_content(text)
            for name, content in value.items():
                with suppress(Exception):  # the content may be no text
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
        if not self._attached:
            self._attached = True
            attach(self._result, self._watch.kept_logs())
        if error is not self._watch.reason:
            self._watch.look(PATIENCE, at_its_end=True)
        for each in [*_chain(error), *self._watch.deaths]:
            _make_fit(each, self._fit)
        if error is not self._watch.reason:
            told = explained(error, self._watch, self._style(), self._fit)
            if hasattr(self._result, "services_said"):
                self._result.services_said = self._watch.sections(error)
        self._seen += [(error, told), (told, told)]
        return told

    def _fit(self, text: str) -> str:
        """The text in characters that the runner can write."""
        stream = getattr(self._result, "stream", None) or getattr(self._result, "_stream", None)
        return encodable(text, stream)

    def _style(self) -> str:
        """How this runner prints more than an exception's message; see :func:`explained`."""
        if hasattr(self._result, "services_said"):  # by our plugin of pytest, in sections
            return "causes"
        modules = {kind.__module__ for kind in type(self._result).__mro__}
        if any(module.startswith("twisted.trial") for module in modules):
            return "message"
        if sys.version_info < (3, 11) and not any(m.startswith("_pytest") for m in modules):
            return "message"
        return "notes alone" if any(m.startswith("zope.") for m in modules) else "notes"


def _words(values: Iterable[Any]) -> str:
    """What the arguments of a method of a result object say about a test, in a line if possible."""
    error = _exception_in(values)
    if error is not None:
        return sentence(error)
    for value in values:
        if isinstance(value, str):
            return value
        if isinstance(value, dict):  # testtools has made text of its exceptions by now
            with suppress(Exception):
                return "\n".join(c.as_text().strip().rpartition("\n")[2] for c in value.values())
    return ""


def _exception_in(values: Iterable[Any]) -> BaseException | None:
    """The exception among the arguments of a method of a result object, as runners pass it."""
    for value in values:
        parts = value if isinstance(value, tuple) else (getattr(value, "value", None), value)
        for part in parts:
            if isinstance(part, BaseException):
                return part
    return None


def explained(
    error: BaseException,
    watch: Watch,
    style: str = "notes",
    fit: Callable[[str], str] = encodable,
) -> BaseException:
    """An exception with a death as its cause, and with the output of services.

    :param style: what the runner prints. "causes": causes, and the output of services is told
        elsewhere; "notes": notes and causes; "notes alone": notes, but no
        causes; "message": surely only the message, so that a copy of the exception gets a longer
        one.
    :param fit: spells out characters that the runner cannot write; default: those that standard
        output cannot.
    """
    deaths = watch.deaths
    if style != "message":
        cause = deaths[0] if deaths else None
        text = ""
        if style != "causes":
            text = fit(watch.text(in_short=cause if style == "notes" else None, without=error))
        former = getattr(error, "__notes__", [])
        notes = [note for note in former if not isinstance(note, _Note)]
        with suppress(AttributeError):  # the exception may be a frozen dataclass
            if cause is not None and not any(earlier is cause for earlier in _chain(error)):
                list(_chain(error))[-1].__cause__ = cause
            if text or notes != former:
                error.__notes__ = [*notes, _Note(f"\n{text}")] if text else notes  # type: ignore[attr-defined]
        return error
    text = fit(watch.text(without=error))
    caused = bool(deaths) and not is_in(error, deaths)
    return _copied(error, text, first=caused) if text else error


def _make_fit(error: BaseException, fit: Callable[[str], str]) -> None:
    """Spell out characters in the texts of an exception that the runner cannot write."""

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
    """An exception, its causes and its contexts."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and not any(following is earlier for earlier in seen):
        seen.append(following)
        yield following
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)


def _copied(error: BaseException, text: str, first: bool) -> BaseException:
    """A copy of an exception with a longer message; the exception itself if it has no copies."""
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
