"""A registry of container images in memory, at a free port of 127.0.0.1, which it prints. It takes what is pushed and gives
it back; what it was not given it does not have."""

import hashlib
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

blobs = {}
manifests = {}
uploads = {}


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def sent(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_GET(self):
        path = self.path.split("/")
        if self.path == "/v2/":
            self.answer(200)
        elif path[-2] == "manifests" and path[-1] in manifests:
            kind, body = manifests[path[-1]]
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            self.answer(200, body, Content_Type=kind, Docker_Content_Digest=digest)
        elif path[-2] == "blobs" and path[-1] in blobs:
            self.answer(200, blobs[path[-1]])
        else:
            self.answer(404)

    do_HEAD = do_GET

    def do_POST(self):
        self.sent()
        upload = str(uuid.uuid4())
        uploads[upload] = b""
        self.answer(202, Location=f"{self.path}{upload}", Range="0-0")

    def do_PATCH(self):
        upload = self.path.split("/")[-1]
        uploads[upload] += self.sent()
        self.answer(202, Location=self.path, Range=f"0-{len(uploads[upload]) - 1}")

    def do_PUT(self):
        path, _, query = self.path.partition("?")
        name, body = path.split("/")[-1], self.sent()
        if "/manifests/" in path:
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            manifests[name] = manifests[digest] = (self.headers["Content-Type"], body)
        else:
            digest = query.removeprefix("digest=").replace("%3A", ":")
            blobs[digest] = uploads.pop(name) + body
        self.answer(201, Docker_Content_Digest=digest)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
