"""A bare ASGI application on uvicorn that only calls the model: the ceiling of what a Python server can do.

It takes the row as the numbers the model reads (no names, no checks, no features to compute), runs the same ONNX graph
with the same settings, and answers the score. It logs nothing. ``bare_asgi.py MODEL_ONNX PORT``.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn

Message = MutableMapping[str, Any]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


async def app(
    _scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request."""
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    row = np.array([orjson.loads(body)], dtype=np.float32)
    answer = orjson.dumps({"score": float(session.run(None, {name: row})[0][0])})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), lifespan="off", log_level="warning", access_log=False)
