"""What the tests are run with: each helm, and a namespace in the tests' cluster."""

from collections.abc import Iterator

import pytest

from chart import Helm, helms
from cluster import Cluster
from compose import Compose


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks with `cluster` what looks at one, or has its daemon or docker compose do something."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"cluster", "built"} or item.path.name == "test_compose.py":
            item.add_marker("cluster")


@pytest.fixture(scope="session", params=helms())
def helm(request: pytest.FixtureRequest) -> Helm:
    return Helm(request.param)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A namespace of its own in the cluster that XTASK_TEST_CONTEXT names, gone afterwards."""
    with Cluster.of_environment() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The application's images, in the daemon of the tests' cluster, gone afterwards."""
    compose = Compose(tmp_path_factory.mktemp("compose"))
    compose.build()
    yield compose
    compose.forget()
