"""How the process and the database are, separately, for people and for Kubernetes.

Liveness never asks the database: a restart heals no database, and a database that is down must not
take every pod with it.
"""

from typing import Literal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from app import VERSION
from app.database import unavailable

router = APIRouter(prefix="/api/health", tags=["health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    database: Literal["ok", "migrating", "unavailable"]
    reason: str | None = None
    environment: str
    version: str = VERSION


class Live(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    """200 when requests can be served; 503 with the same body when the database is not ready."""
    state = request.app.state
    database: Literal["ok", "migrating", "unavailable"]
    reason = await unavailable(state.engine)
    if reason is not None:
        database = "unavailable"
    else:
        database = "ok" if state.migrated.is_set() else "migrating"
    if database != "ok":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(database=database, reason=reason, environment=state.settings.environment)


@router.get("/live")
async def live() -> Live:
    """200 as long as the process answers at all."""
    return Live()
