"""Somebody who asks the application, signed in or not."""

from dataclasses import dataclass, field

import httpx2
from fastapi.testclient import TestClient


@dataclass(frozen=True)
class Person:
    client: TestClient
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, **options: object) -> httpx2.Response:
        return self.client.request(method, path, headers=self.headers, **options)

    def get(self, path: str, **options: object) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: object) -> httpx2.Response:
        return self.request("POST", path, **options)

    def patch(self, path: str, **options: object) -> httpx2.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: object) -> httpx2.Response:
        return self.request("DELETE", path, **options)
