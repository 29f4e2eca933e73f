"""A server with OpenAI's API as the engine: `vllm serve MODEL`."""

import base64
import io
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from verl_vision_r1.predict.engines import Loading
from verl_vision_r1.shown import shown


def is_address(engine: str) -> bool:
    """Whether the name of an engine is the address of a server."""
    return engine.startswith(("http://", "https://"))


class ServerEngine:
    """Asks a server, with a request for each completion; the server batches those that arrive together."""

    def __init__(self, loading: Loading, address: str) -> None:
        """Ask the server for its model: a LoRA adapter that it serves, otherwise its first model."""
        self.address = address.rstrip("/")
        cards = self._send("models")["data"]
        self.name = next((card["id"] for card in cards if card.get("parent")), cards[0]["id"])
        # Whatever generation_config.json says, from which the server takes its defaults.
        self.options: dict[str, Any] = {
            "temperature": 0.0,
            "repetition_penalty": 1.0,
            "max_tokens": loading.max_tokens,
        }
        self.options |= {"skip_special_tokens": False} if loading.special_tokens else {}
        self.options |= {"chat_template_kwargs": dict(loading.template)} if loading.template else {}
        self.batch = loading.batch or 64

    def __call__(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        """As `Engine`."""
        with ThreadPoolExecutor(self.batch) as pool:
            return list(pool.map(self._complete, images, texts))

    def _complete(self, image: Image.Image, text: str) -> str:
        parts = [{"type": "image_url", "image_url": {"url": _as_url(image)}}, {"type": "text", "text": text}]
        messages = [{"role": "user", "content": parts}]
        reply = self._send("chat/completions", {"model": self.name, "messages": messages, **self.options})
        return str(reply["choices"][0]["message"]["content"] or "")

    def _send(self, path: str, content: dict[str, Any] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.address}/{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            got = shown(error.read().decode(errors="replace"), 300)
            raise OSError(f"{request.full_url}: expected an answer, got status {error.code}: {got}") from error
        except urllib.error.URLError as error:
            raise OSError(f"{request.full_url}: expected a server, got none: {error.reason}") from error


def _as_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
