"""Every endpoint of the server is documented, and does what the documentation says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.clients.plain import ask
from tests.conftest import REPOSITORY, Cast
from tests.models import fixtures
from tests.serving import Server, free_port, serving

pytestmark = pytest.mark.runtime

_REGISTERED = re.compile(r'ctx_http\.(get|post|del)\s*\(\s*"([^"]+)"')
_DOCUMENTED = re.compile(r"`(GET|POST|DELETE) (/[^`]*)`")
_METHODS = {"get": "GET", "post": "POST", "del": "DELETE"}

Endpoint = tuple[str, str]


def documented() -> dict[Endpoint, str]:
    """The endpoints of the reference's table, with what it says they need."""
    text = (REPOSITORY / "docs" / "reference" / "executable.md").read_text(encoding="utf-8")
    section = text.partition("\n## Endpoints of the server\n")[2].partition("\n## ")[0]
    found: dict[Endpoint, str] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            paths, _, needs = line.strip("|").split("|")
            found |= {(method, path): needs.strip() for method, path in _DOCUMENTED.findall(paths)}
    return found


@pytest.fixture(scope="module")
def open_server(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo with an adapter, and every endpoint that a flag can switch on."""
    folder = tmp_path_factory.mktemp("slots")
    adapter = fixtures.lora_adapter(folder / "adapter.gguf")
    model = fixtures.infill_model(folder / "infill.gguf")
    flags = ("--metrics", "--props", "--ui-mcp-proxy", "--tools", "get_info")
    saving = ("--slot-save-path", str(folder))
    executable = cast(model, name="infill", loras=(adapter,))
    with serving(executable, "-t", "1", *flags, *saving) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(hello: Path) -> Iterator[Server]:
    with serving(hello, "-t", "1") as running:
        yield running


def test_the_table_has_the_endpoints_that_the_engine_registers(engine_source: Path) -> None:
    registered = {
        (_METHODS[method], path)
        for source in sorted((engine_source / "tools" / "server").glob("*.cpp"))
        for method, path in _REGISTERED.findall(source.read_text(encoding="utf-8"))
    }
    assert len(registered) == 50
    assert set(documented()) == registered | {("GET", "/")}


def test_what_is_documented_is_there_and_says_what_it_needs(plain_server: Server) -> None:
    for (method, path), needs in documented().items():
        body: dict[str, str] | None = {} if method == "POST" else None
        answer = ask(plain_server, method, path.replace(":id_slot", "0"), body)
        if status := re.search(r"\belse (\d+)", needs):
            assert answer.status == int(status[1]), (method, path, answer)
        elif path != "/":  # asked for in test_server.py and tests/browser
            assert "File Not Found" not in answer.text, (method, path)


def test_health_and_models(plain_server: Server) -> None:
    for path in ("/health", "/v1/health"):
        assert ask(plain_server, "GET", path).document == {"status": "ok"}
    for path in ("/models", "/v1/models"):
        listed = ask(plain_server, "GET", path).document
        assert [entry["id"] for entry in listed["data"]] == ["hello"]
        assert [entry["name"] for entry in listed["models"]] == ["hello"]
    assert ask(plain_server, "GET", "/v1/models/hello").status == 404


def test_tokens_of_a_text_and_back(plain_server: Server) -> None:
    text = "def add(a, b):\n    return a + b"
    tokens = ask(plain_server, "POST", "/tokenize", {"content": text}).document["tokens"]
    assert len(tokens) > 4
    back = ask(plain_server, "POST", "/detokenize", {"tokens": tokens}).document["content"]
    assert back.strip() == text


def test_the_template_of_a_model_without_one(plain_server: Server) -> None:
    messages = [{"role": "system", "content": "one"}, {"role": "user", "content": "two"}]
    made = ask(plain_server, "POST", "/apply-template", {"messages": messages})
    assert made.document["prompt"] == "one\ntwo\n"


def test_slots_can_be_looked_at_unless_switched_off(hello: Path, plain_server: Server) -> None:
    slots = ask(plain_server, "GET", "/slots").document
    assert slots and all(slot["is_processing"] is False for slot in slots)
    with serving(hello, "-t", "1", "--no-slots") as running:
        assert ask(running, "GET", "/slots").status == 501


def test_a_slot_is_saved_restored_and_erased(open_server: Server) -> None:
    prompt = {"prompt": "import os\nimport sys\n", "n_predict": 2, "id_slot": 0}
    assert ask(open_server, "POST", "/completion", prompt).status == 200
    name = {"filename": "import.bin"}
    saved = ask(open_server, "POST", "/slots/0?action=save", name).document
    assert saved["n_saved"] > 4
    erased = ask(open_server, "POST", "/slots/0?action=erase").document
    assert erased["n_erased"] == saved["n_saved"]
    restored = ask(open_server, "POST", "/slots/0?action=restore", name).document
    assert restored["n_restored"] == saved["n_saved"]


def test_metrics_count_what_was_computed(open_server: Server) -> None:
    def predicted() -> float:
        text = ask(open_server, "GET", "/metrics").text
        found = re.search(r"^llamacpp:tokens_predicted_total (\S+)", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    before = predicted()
    ask(open_server, "POST", "/completion", {"prompt": "import", "n_predict": 5})
    assert predicted() == before + 5


def test_properties_are_told_and_may_be_posted(open_server: Server) -> None:
    told = ask(open_server, "GET", "/props").document
    assert told["total_slots"] == 4 and not any(told["modalities"].values())
    assert ask(open_server, "POST", "/props", {}).document == {"success": True}


def test_adapters_are_listed_and_their_scale_is_set(open_server: Server) -> None:
    prompt = {"prompt": "import os\n", "n_predict": 8, "temperature": 0, "cache_prompt": False}
    texts = []
    for scale in (1.0, 0.0):
        ask(open_server, "POST", "/lora-adapters", [{"id": 0, "scale": scale}])
        (adapter,) = ask(open_server, "GET", "/lora-adapters").document
        assert adapter["scale"] == scale
        texts.append(ask(open_server, "POST", "/completion", prompt).document["content"])
    assert texts[0] != texts[1]


def test_code_is_filled_in(open_server: Server) -> None:
    gap = {"input_prefix": "def add(a, b):\n", "input_suffix": "\n\nprint(add(1, 2))\n"}
    filled = ask(open_server, "POST", "/infill", {**gap, "n_predict": 4})
    assert filled.status == 200 and filled.document["tokens_predicted"] == 4


def test_a_tool_of_the_engine_runs(open_server: Server) -> None:
    (tool,) = ask(open_server, "GET", "/tools").document
    assert tool["tool"] == "get_info"
    told = ask(open_server, "POST", "/tools", {"tool": "get_info", "params": {}})
    assert "Linux" in told.text


def test_the_proxy_reaches_another_server(open_server: Server, plain_server: Server) -> None:
    there = quote(f"{plain_server.url}/health", safe="")
    assert ask(open_server, "GET", f"/cors-proxy?url={there}").document == {"status": "ok"}


def test_a_stream_that_broke_off_goes_on(open_server: Server) -> None:
    question = {"messages": [{"role": "user", "content": "import"}], "max_tokens": 4}
    named = {"X-Conversation-Id": "talk"}
    first = ask(
        open_server, "POST", "/v1/chat/completions", {**question, "stream": True}, headers=named
    )
    again = ask(open_server, "GET", "/v1/stream?conv_id=talk&from=0").text
    assert again == first.text and again.endswith("data: [DONE]\n\n")
    known = {"conversation_ids": ["talk", "another"]}
    (found,) = ask(open_server, "POST", "/v1/streams/lookup", known).document
    assert found["conversation_id"] == "talk" and found["is_done"]
    assert ask(open_server, "DELETE", "/v1/stream?conv_id=talk").status == 204
    assert ask(open_server, "GET", "/v1/stream?conv_id=talk&from=0").status == 404


def test_reasoning_of_an_answer_that_is_not_running_cannot_be_ended(plain_server: Server) -> None:
    asked = {"id": "chatcmpl-none", "action": "reasoning_end"}
    answer = ask(plain_server, "POST", "/v1/chat/completions/control", asked)
    assert answer.document.get("success") is False or answer.status == 400


def test_vertex_ai_reaches_them_by_name(hello: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, value in (("MODE", "PREDICTION"), ("HTTP_PORT", str(port))):
        monkeypatch.setenv(f"AIP_{name}", value)
    instance = {"@requestFormat": "tokenize", "content": "import os"}
    with serving(hello, "-t", "1", port=port) as running:
        answer = ask(running, "POST", "/predict", {"instances": [instance, instance]})
    one, other = answer.document["predictions"]
    assert one == other and one["tokens"]
