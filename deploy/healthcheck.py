"""Whether the newstide process in this container gets its work done: exit status 0 if `/readyz` answers 200.

`healthcheck.py [PORT]`: the metrics port of the process; without it the first that anybody listens on. Standard
library only, so that it starts fast.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection

_PORTS = (9870, 9860, 9861, 9862)  # worker, ingest, alerting, desk
_PATIENCE_S = 4


def main(arguments: list[str]) -> int:
    reason = "nothing answers"
    for port in map(int, arguments) if arguments else _PORTS:
        connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
        except ConnectionRefusedError:
            continue
        except OSError as error:
            reason = f"port {port}: {error}"
            break
        finally:
            connection.close()
        if answer.status == 200:
            return 0
        reason = body
        break
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
