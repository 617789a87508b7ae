"""moto's AWS on a free port of the loopback interface, which is printed.

As it is, moto hashes a digest once more; the service signs what is said to be a digest as it stands.
Ends with its standard input, so that it does not outlive whoever started it.
"""

import logging
import sys
import threading

from cryptography.hazmat.primitives.asymmetric import ec, utils
from moto.kms import utils as kms
from moto.kms.responses import KmsResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

request = threading.local()
answer, sign_message = KmsResponse.sign, kms.ECDSAPrivateKey.sign


def sign(self):
    request.is_digest = self._get_param("MessageType") == "DIGEST"
    return answer(self)


def sign_bytes(self, message, signing_algorithm):
    if not request.is_digest:
        return sign_message(self, message, signing_algorithm)
    algorithm = ec.ECDSA(utils.Prehashed(self._ECDSAPrivateKey__hash_algorithm(signing_algorithm)))
    return self.private_key.sign(message, algorithm)


KmsResponse.sign, kms.ECDSAPrivateKey.sign = sign, sign_bytes
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
