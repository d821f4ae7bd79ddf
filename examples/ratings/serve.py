"""Serves the page, and passes on what it reads of tables: serve.py --port 8000 --api 127.0.0.1:8480

The node's API has no authentication and listens on loopback; this is what stands before it. It lets readers through, and
nobody who writes.
"""
import argparse
import contextlib
import http.client
import pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = pathlib.Path(__file__).with_name("page.html")
# Beside the path all that an EventSource says: how far it had read before it lost its connection.
PASSED_ON = ["Last-Event-ID"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path.startswith("/v1/tables/"):
            self.pass_on()
        else:
            self.answer(404, "text/plain", b"There is nothing.\n")

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self):
        """As it comes, since a watch has no end. What ends either connection ends the other."""
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        with contextlib.closing(http.client.HTTPConnection(self.server.api)) as node:
            try:
                node.request("GET", self.path, headers=headers)
                response = node.getresponse()
            except (OSError, http.client.HTTPException) as failure:
                self.answer(502, "text/plain", f"the node cannot be reached: {failure}\n".encode())
                return
            self.send_response(response.status)
            self.send_header("Content-Type", response.getheader("Content-Type", "text/plain"))
            self.end_headers()
            with contextlib.suppress(OSError, http.client.HTTPException):
                while piece := response.read1():
                    self.wfile.write(piece)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, api):
        super().__init__(("127.0.0.1", port), Handler)
        self.api = api


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--api", default="127.0.0.1:8480", metavar="HOST:PORT", help="api.listen of the node")
    options = parser.parse_args()
    server = Server(options.port, options.api)
    print(f"page: http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


main()
