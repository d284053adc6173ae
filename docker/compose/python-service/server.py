"""The same service in Python: a token of azure-identity for RESOURCE with each request. PORT defaults to 3001."""

import base64
import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

RESOURCE = os.environ["RESOURCE"]
CREDENTIAL = ManagedIdentityCredential()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            token = CREDENTIAL.get_token(f"{RESOURCE}/.default").token
        except (ClientAuthenticationError, CredentialUnavailableError) as error:
            print(error, flush=True)
            self.respond(500, {"error": type(error).__name__})
            return
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.respond(200, {"client": "azure-identity", "aud": claims["aud"], "oid": claims["oid"]})

    def respond(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "3001"))), Handler)
# shutdown() waits for the loop, which this thread runs.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()
