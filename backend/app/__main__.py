"""`python -m app`: check the settings, then serve until told to stop."""

import asyncio
import sys

import uvicorn

from app import logs
from app.main import create_app
from app.settings import SettingsError, load

# Below the pod's grace period less its preStop sleep, so that a request that is under way ends here
# and not at SIGKILL.
DRAIN_SECONDS = 20


def main() -> int:
    """0 after a stop that was asked for, 1 when a migration failed, 2 for a wrong setting."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    logs.configure()
    failed = asyncio.Event()

    def stop_failed() -> None:
        failed.set()
        server.should_exit = True

    config = uvicorn.Config(
        create_app(settings, on_failure=stop_failed),
        host="0.0.0.0",  # noqa: S104  a container's own network
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run()
    return 1 if failed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
