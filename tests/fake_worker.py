"""A worker's family for the tests: no model, every way to answer and to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

ASKS = ("echo", "fail", "die", "hang", "noise", "nonsense", "objects", "encode_text", "encode_pictures")
ASKS += ("generate", "count_tokens", "pid")


def load(options):
    if options.get("model") == "broken":
        raise RuntimeError("no such\nweights")
    print("loading", options.get("model"))
    return Fake(options)


class Fake:
    def __init__(self, options):
        self.about = {"dimension": 4, "height": 64, "context": 1000, "dtype": "float32", "options": options}

    def echo(self, values, arrays):
        shapes = [list(array.shape) for array in arrays]
        return {"values": values, "shapes": shapes}, [array.T for array in arrays] if values.get("turn") else arrays

    def pid(self, values, arrays):
        return {"pid": os.getpid()}, []

    def fail(self, values, arrays):
        raise KeyError("two\nlines")

    def die(self, values, arrays):
        print("about to fall over", file=sys.stderr, flush=True)
        os.kill(os.getpid(), values["signal"]) if values["signal"] else os._exit(3)
        time.sleep(60)

    def hang(self, values, arrays):
        print("thinking")
        time.sleep(60)

    def noise(self, values, arrays):
        print("a print of Python")
        os.write(1, b"a print of C\n")
        subprocess.run([sys.executable, "-c", "print('a print of a child')"], check=True)
        return {}, []

    def nonsense(self, values, arrays):
        # What a library with a handle of its own could still do: bytes among the messages.
        os.write(values["fd"], b"\xff" * 64)
        return {}, []

    def objects(self, values, arrays):
        return {}, [np.array([{}], dtype=object)]

    def encode_text(self, values, arrays):
        return {}, [np.array([[len(text), 1, 0, 0] for text in values["texts"]], dtype=np.float16)]

    def encode_pictures(self, values, arrays):
        return {}, [np.array([[*array.mean(axis=(0, 1)), 1] for array in arrays], dtype=np.float32)]

    def count_tokens(self, values, arrays):
        return {"tokens": len(values["text"].split())}, []

    def generate(self, values, arrays):
        if values["text"] == "die":
            os._exit(1)
        if values["text"] == "fail":
            raise ValueError("cannot say")
        told = f" {values['system']}|{values['history']}|{values['text']}"
        if arrays:
            told += f"|{arrays[0].shape} at {arrays[1].tolist()}"
        return {"text": told + " ", "tokens_in": 5, "tokens_out": 2, "cut": values["text"] == "long"}, []
