"""Work that takes longer than a page should wait: done in a thread, and how far it is."""

import threading
from collections.abc import Callable

from affkit.errors import UserError

Progress = Callable[[int, int], None]


class Stopped(Exception):
    """Raised inside of work that nobody wants any more."""


class Job:
    """One piece of work, begun at once.

    Parameters
    ----------
    work:
        Called with a function that is to be told how many steps are done, and of how many; what it returns
        is the result. That function raises :class:`Stopped` when :meth:`stop` was called.

    Attributes
    ----------
    done, total:
        How many steps are done, and of how many; 0 of 0 as long as nobody knows.
    result:
        What the work returned; None before that, and if it was stopped.
    error:
        What went wrong with it, of the kind that the user can mend. Anything else is a bug, and Python prints
        its traceback.
    """

    def __init__(self, work: Callable[[Progress], object]):
        self.done, self.total = 0, 0
        self.result: object = None
        self.error: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end at its next step."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def _run(self, work: Callable[[Progress], object]) -> None:
        try:
            self.result = work(self._count)
        except Stopped:
            pass
        except (UserError, OSError) as error:
            self.error = error

    def _count(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self.done, self.total = done, total
