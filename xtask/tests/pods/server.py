"""What the tests' pods serve.

8000: HTTP. GET /PATH answers with this pod's name; /sum adds up the body; /bytes/N sends N bytes; /events is a stream
that goes on when /next is asked for; /socket is a WebSocket that sends back what it gets.
9000: bytes. Whatever comes is answered by its number, once the client has sent all.
"""

import base64
import hashlib
import http.server
import json
import os
import queue
import signal
import socketserver
import struct
import threading
import time

time.sleep(float(os.environ.get("LATE", "0")))
NEXT: queue.Queue[str] = queue.Queue()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/events":
            return self.events()
        if self.path == "/socket":
            return self.socket()
        if self.path == "/next":
            NEXT.put("go")
        if self.path.startswith("/bytes/"):
            return self.answer(b"x" * int(self.path.split("/")[2]))
        body = {"pod": os.environ["HOSTNAME"], "path": self.path, "say": self.headers.get("X-Say", "")}
        self.answer(json.dumps(body).encode(), 404 if self.path == "/missing" else 200)

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while length:
            piece = self.rfile.read(min(length, 65536))
            length -= len(piece)
            digest.update(piece)
        self.answer(digest.hexdigest().encode())

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("Connection", "").lower() == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        for number in range(1_000_000):
            self.wfile.write(f"data: {number}\n\n".encode())
            NEXT.get()

    def socket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            length = head[1] & 127
            if length == 126:
                (length,) = struct.unpack(">H", self.rfile.read(2))
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))
            size = bytes([length]) if length < 126 else bytes([126]) + struct.pack(">H", length)
            self.wfile.write(head[:1] + size + data)

    def log_message(self, *arguments):
        pass


class Count(socketserver.StreamRequestHandler):
    def handle(self):
        count = 0
        while piece := self.request.recv(65536):
            count += len(piece)
        self.wfile.write(str(count).encode())


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
threading.Thread(target=Threads(("", 9000), Count).serve_forever, daemon=True).start()
Threads(("", 8000), Handler).serve_forever()
