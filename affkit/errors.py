"""The one exception that is meant for people."""

from pathlib import Path


class UserError(Exception):
    """Something the user gave us cannot be used, and we know what to say about it.

    The message is one line: which file, what is wrong with it, and what would mend it. The command line
    prints that line without a traceback and exits with code 2; in a notebook it is an ordinary exception.

    Parameters
    ----------
    path:
        The file, folder or option the problem is about.
    problem:
        What is wrong, as a short clause: ``"the file is empty"``.
    mend:
        What the user can do, as a short imperative: ``"copy it again"``.

    >>> str(UserError("clip.mp4", "the file is empty", "copy it again"))
    'clip.mp4: the file is empty; copy it again'
    """

    def __init__(self, path: str | Path, problem: str, mend: str):
        super().__init__(f"{path}: {problem}; {mend}")
        self.path, self.problem, self.mend = path, problem, mend

    def __reduce__(self):
        # An exception is pickled as its message alone; worker processes send ours back whole.
        return type(self), (self.path, self.problem, self.mend)
