"""A server with OpenAI's API as the engine: what is sent, which model is asked, and errors."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.families import FAMILIES
from verl_vision_r1.predict import Detector, detector
from verl_vision_r1.predict.engines import chat

CARDS = [{"id": "base", "parent": None}, {"id": "adapter", "parent": "base"}]


class Server(ThreadingHTTPServer):
    """Answers every question with a box of the left half of the image, as it received it."""

    cards: list[dict[str, Any]] = CARDS
    status = 200

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Handler)
        self.requests: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://localhost:{self.server_address[1]}/v1/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.reply({"data": self.server.cards} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        width, height = picture(request).size
        text = json.dumps([{"bbox_2d": [0, 0, width / 2, height], "label": "cat"}])
        self.reply({"choices": [{"message": {"content": text}}]})

    def reply(self, content: Any) -> None:
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *args: Any) -> None:
        pass


def picture(request: dict[str, Any]) -> Image.Image:
    url = request["messages"][0]["content"][0]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_server_is_asked_as_any_engine(server: Server) -> None:
    sizes = [(300, 200), (200, 300), (640, 480)]
    asked = Detector(TAUGHT_MODEL, engine=server.address, max_tokens=77)
    found = list(asked.find_all((Image.new("RGB", size) for size in sizes), ["cat", "dog"]))
    for prediction, (width, height) in zip(found, sizes, strict=True):
        assert prediction.boxes.tolist() == [pytest.approx([0, 0, width / 2, height])]
    (question,) = asked.asking.questions(["cat", "dog"])
    assert len(server.requests) == 3
    for request in server.requests:
        assert request["messages"][0]["content"][1] == {"type": "text", "text": question.text}
        assert (request["model"], request["max_tokens"]) == ("adapter", 77)
        assert (request["temperature"], request["repetition_penalty"]) == (0, 1)
        assert all(side % 28 == 0 for side in picture(request).size)
        assert "chat_template_kwargs" not in request


def test_a_family_that_reasons_by_default_is_asked_to_answer_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "_family", lambda model: "qwen3_5")
    Detector(TAUGHT_MODEL, engine=server.address).find(Image.new("RGB", (140, 140)), ["cat"])
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}

    class Processor:
        def apply_chat_template(self, messages: object, **options: object) -> str:
            return json.dumps(options)

    prompt = chat(Processor(), "text", FAMILIES["qwen3_5"].template)
    assert json.loads(prompt) == {"add_generation_prompt": True, "tokenize": False, "enable_thinking": False}


def test_a_recipe_and_predict_use_the_same_chat_template_options() -> None:
    shared = files("verl_vision_r1.config.vision_r1").joinpath("qwen3_5.yaml")
    options = OmegaConf.create(shared.read_text(encoding="utf-8")).data.apply_chat_template_kwargs
    assert dict(options) == FAMILIES["qwen3_5"].template == FAMILIES["qwen3_5_moe"].template


def test_without_an_adapter_the_first_model_is_asked(server: Server) -> None:
    server.cards = CARDS[:1]
    Detector(TAUGHT_MODEL, engine=server.address).find(Image.new("RGB", (140, 140)), ["cat"])
    assert server.requests[0]["model"] == "base"


def test_what_a_server_refuses_is_an_error_that_says_why(server: Server) -> None:
    asked = Detector(TAUGHT_MODEL, engine=server.address)
    assert asked.engine.batch == 64
    server.status = 400
    with pytest.raises(OSError, match=r"/v1/chat/completions: expected an answer, got status 400: .*choices"):
        asked.find(Image.new("RGB", (140, 140)), ["cat"])
