"""`python -m app`: check the settings, then serve until told to stop."""

import sys

from app import logs
from app.settings import SettingsError, load


def main() -> int:
    """0 after a stop that was asked for, 1 when a migration failed, 2 for a wrong setting."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    logs.configure(settings.secrets)
    # Only now: the assistant's libraries take seconds, and a wrong setting is said before them.
    from app.drain import Server
    from app.main import create_app

    failed = False

    def fail() -> None:
        nonlocal failed
        failed = server.should_exit = True

    server = Server(create_app(settings, on_failure=fail), settings.port)
    server.run()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
