"""The one error class for what a user can cause and mend."""


class KQAError(Exception):
    """Wrong input, with a message of one line that names the flag, file or row and the remedy.

    The command line prints it as ``error: …`` and exits with status 2, without a traceback.
    """
