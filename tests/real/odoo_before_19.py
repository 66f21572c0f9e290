"""Makes an Odoo 19 look like one that came before: no JSON-2 and no page that tells the version, JSON-RPC alone, which says 18.0.

    odoo_before_19.py PORT ODOO_URL
"""

import json
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, ODOO = int(sys.argv[1]), sys.argv[2]


class Before(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(404, b"<!DOCTYPE html>\n<title>404 Not Found</title>\n", "text/html")

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/jsonrpc":
            return self.do_GET()
        request = urllib.request.Request(ODOO + "/jsonrpc", sent, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read()
        if json.loads(sent)["params"].get("method") == "version":
            told = json.loads(body)
            told["result"] |= {"server_version": "18.0", "server_version_info": [18, 0, 0, "final", 0, ""]}
            body = json.dumps(told).encode()
        self.answer(200, body, "application/json")

    def answer(self, status, body, media_type):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Before).serve_forever()
