"""Does what lines of JSON on standard input say with the package `convex`, as rust-client does with the crate."""

import json
import sys
import threading

from convex import ConvexClient, ConvexError, convex_to_json, json_to_convex

client = ConvexClient(sys.argv[1])
lock = threading.Lock()


def say(order, **what):
    with lock:
        print(json.dumps({"id": order["id"], **what}), flush=True)


def tell(order, call):
    """Whether it was a result, also a bad one."""
    try:
        say(order, value=convex_to_json(call()))
    except ConvexError as error:
        say(order, error=str(error), convexError=convex_to_json(error.data))
    except StopIteration:
        return False
    except Exception as error:  # The package raises plain exceptions for errors of functions.
        say(order, error=str(error))
    return True


def carry_out(order):
    op = order["op"]
    args = json_to_convex(order.get("args", {}))
    if op == "subscribe":
        results = client.subscribe(order["path"], args)
        while tell(order, results.__next__):
            pass
    elif op == "auth":
        tell(order, lambda: client.set_auth(order["token"]) if order["token"] else client.clear_auth())
    elif op == "admin":
        tell(order, lambda: client.set_admin_auth(order["key"]))
    else:
        tell(order, lambda: getattr(client, op)(order["path"], args))


for line in sys.stdin:
    threading.Thread(target=carry_out, args=(json.loads(line),), daemon=True).start()
