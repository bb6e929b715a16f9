"""Does what lines of JSON on standard input say with the package `convex`, as rust-client does with the crate."""

import asyncio
import json
import sys

from convex import ConvexClient, ConvexError, convex_to_json, json_to_convex

client = ConvexClient(sys.argv[1])


def say(order, **what):
    print(json.dumps({"id": order["id"], **what}), flush=True)


def tell_error(order, error):
    if isinstance(error, ConvexError):
        say(order, error=str(error), convexError=convex_to_json(error.data))
    else:  # The package raises plain exceptions for errors of functions.
        say(order, error=str(error))


async def follow(order):
    results = client.subscribe(order["path"], json_to_convex(order["args"]))
    while True:
        try:
            say(order, value=convex_to_json(await results.__anext__()))
        except StopAsyncIteration:
            return
        except Exception as error:
            tell_error(order, error)


def call(order):
    op = order["op"]
    if op == "auth":
        return client.set_auth(order["token"]) if order["token"] else client.clear_auth()
    if op == "admin":
        return client.set_admin_auth(order["key"])
    return getattr(client, op)(order["path"], json_to_convex(order["args"]))


async def main():
    following = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if order["op"] == "subscribe":
            following.add(asyncio.create_task(follow(order)))
            continue
        try:
            # The package's calls wait; subscriptions go on between them.
            say(order, value=convex_to_json(call(order)))
        except Exception as error:
            tell_error(order, error)


asyncio.run(main())
