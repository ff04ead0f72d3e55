"""The measuring part of ports.sh, which says what is measured and calls this."""

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time


def each(port: int, count: int) -> float:
    """Seconds for requests with a connection of their own."""
    begun = time.monotonic()
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
    return time.monotonic() - begun


def at_once(port: int, count: int) -> float:
    """The same by six clients, as many as a browser is."""
    begun = time.monotonic()
    clients = [threading.Thread(target=each, args=(port, count // 6)) for _ in range(6)]
    [client.start() for client in clients]
    [client.join() for client in clients]
    return time.monotonic() - begun


def processor_time(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rates(name: str, port: int, count: int) -> None:
    for way, measured in (("one after the other", each), ("six at once", at_once)):
        print(f"{name}, {way}: {count / measured(port, count):.0f} requests/s, a connection each")


def until_ready(kubectl: list[str], before: str, seen: list[float]) -> None:
    """Notes when somebody else who watches sees that another pod is ready."""
    path = "{.metadata.name} {.status.conditions[?(@.type=='Ready')].status}"
    command = [*kubectl, "get", "pods", "--selector", "app=server", "--watch", "--output", f"jsonpath={path}{{'\\n'}}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        for line in watch.stdout:
            name, _, ready = line.strip().partition(" ")
            if name != before and ready == "True":
                seen.append(time.monotonic())
                break
        watch.kill()


def pods_of(told: str) -> list[str] | None:
    """The pods that the program said last that connections go to."""
    lines = [json.loads(line) for line in open(told) if line.endswith("\n")]
    said = [line["pods"] for line in lines if line.get("event") == "pods"]
    return said[-1] if said else None


def replaced(kubectl: list[str], port: int, told: str) -> float:
    """Seconds from the moment in which a new pod is ready until a waiting connection is answered."""
    while not (before := pods_of(told)):
        time.sleep(0.05)
    seen: list[float] = []
    watching = threading.Thread(target=until_ready, args=(kubectl, before[0], seen))
    watching.start()
    kill = [*kubectl, "delete", "pod", before[0], "--grace-period", "0", "--force", "--wait=false"]
    subprocess.run(kill, check=True, capture_output=True)
    while pods_of(told) == before:
        time.sleep(0.01)
    assert pods_of(told) == [], "the new pod was faster than this looked"
    each(port, 1)
    answered = time.monotonic()
    watching.join()
    return answered - seen[0]


def main() -> None:
    context, namespace, told, ours, pid, theirs, count, rounds = sys.argv[1:]
    kubectl = ["kubectl", "--context", context, "--namespace", namespace]
    each(int(ours), 10), each(int(theirs), 10)
    before = processor_time(int(pid))
    rates("this tool", int(ours), int(count))
    spent = (processor_time(int(pid)) - before) / (2 * int(count))
    rates("kubectl", int(theirs), int(count))
    print(f"this tool, processor time for a request: {1000 * spent:.1f} ms")
    waits = [1000 * replaced(kubectl, int(ours), told) for _ in range(int(rounds))]
    print(f"a new pod is ready until a connection is answered: {statistics.median(waits):.0f} ms (median),", end=" ")
    print(f"{min(waits):.0f} to {max(waits):.0f} ms, {rounds} rounds")


main()
