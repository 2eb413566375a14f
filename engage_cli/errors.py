"""The errors that a user can cause. Anything else that is raised is our own mistake and keeps its traceback."""


class EngageError(Exception):
    """A sentence for the user: what is wrong, where, and what to do. The process ends with `exit_code`."""

    exit_code = 1


class WrongCallError(EngageError):
    """The command line itself is wrong: an unknown name, options that exclude each other."""

    exit_code = 2


class StoppedError(EngageError):
    """Somebody asked to stop, and it was done at a good place."""

    exit_code = 130
