"""Errors that speak to the person who can mend them: what is wrong, in which file, what to do."""


class SpsnError(Exception):
    """Something the caller can put right; the command line prints the message and exits with `status`."""

    status = 1


class SettingsError(SpsnError):
    """A configuration that cannot be run: an unknown key, a wrong type, a value out of range."""


class DataError(SpsnError):
    """A data file that is absent, damaged or not what it claims to be."""


class RecordError(SpsnError):
    """A run record or checkpoint that is absent, damaged or belongs to other settings."""


class TrainingError(SpsnError):
    """Training cannot go on."""


class BusyError(SpsnError):
    """Somebody else holds the lock on what was asked for."""


class StoppedError(SpsnError):
    """Somebody asked for an end before the work was done; started again, it goes on from there."""

    status = 143  # as a shell reports SIGTERM
