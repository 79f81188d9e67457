"""What can go wrong, and the exit code that says so to whoever called the command."""


class EtlError(Exception):
    """A failure that is told to the user in one line; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(EtlError):
    """An option or a configuration value is wrong; nothing was read."""

    exit_code = 2


class InputError(EtlError):
    """An input is missing or unreadable; nothing was written."""

    exit_code = 3


class QualityError(EtlError):
    """An input was readable, but too much of it was turned away; nothing was written."""

    exit_code = 4


class SchemaError(EtlError):
    """A DataFrame does not fit the table it was made for, or a stored table is another version's."""


class ReconciliationError(EtlError):
    """Two figures that must be equal are not."""


class EngineError(EtlError):
    """Spark could not be started, or lacks something it needs."""
