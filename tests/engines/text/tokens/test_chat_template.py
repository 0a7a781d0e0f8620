"""Whatever a template does, it gives what transformers gives; what transformers refuses is the caller's error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from pilotlight.engines.text.tokens.chat_template import ChatTemplate, Message, TemplateSource, find_template
from pilotlight.errors import InputError, WeightsError
from tests.models import tiny_model

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
# In the manner of the families that are about: what each of them does that the others do not.
TEMPLATES = {
    "plain turns": (
        "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    ),
    "a system message of its own": (
        "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|start|>system\nYou help.<|end|>\n' }}{% endif %}"
        "{{'<|start|>' + m['role'] + '\n' + m['content'] + '<|end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
    ),
    "headers, the date, trimmed": (
        "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
        "{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}"
        "{{- '[system]Today: ' + date_string + '\n\n' + system + '[end]' }}"
        "{%- for m in messages %}{{- '[' + m['role'] + ']\n\n' + m['content'] | trim + '[end]' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '[assistant]\n\n' }}{%- endif %}"
    ),
    "alternation": (
        "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
    "no system role": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
        "{{ '<turn>' + role + '\n' + m['content'] | trim + '</turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}"
    ),
    "thoughts are cut off": (
        "{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}"
        "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{%- for m in messages %}"
        "{%- if m.role == 'assistant' and '</think>' in m.content %}"
        "{%- set content = m.content.split('</think>')[-1].lstrip('\n') %}{%- else %}"
        "{%- set content = m.content %}{%- endif %}{{- '<|start|>' + m.role + '\n' + content + '<|end|>\n' }}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
        "{%- endif %}{%- endif %}"
    ),
    "generation, break, continue": (
        "{% for m in messages %}\n  {% if m.role == 'tool' %}{% continue %}{% endif %}\n"
        "  {% if loop.index0 > 3 %}{% break %}{% endif %}\n  {% if m.role == 'assistant' %}\n"
        "    {% generation %}{{ m.content }}</s>{% endgeneration %}\n  {% else %}\n    <{{ m.role }}>{{ m.content }}\n"
        "  {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}<assistant>{% endif %}"
    ),
    "JSON": (
        "{{ messages | tojson }}{{ messages | tojson(indent=4) }}{{ messages[0] | tojson(sort_keys=true) }}"
        "{{ messages | tojson(ensure_ascii=true, separators=(',', ':')) }}{{ {'a': '<b>&'} | tojson(indent=2) }}"
    ),
    "macros and a dict": (
        "{% macro turn(role, text='') %}{% for word in text.split(' ') %}{{ word }} {% endfor %}<{{ role }}>"
        "{% endmacro %}{% set names = dict(user='U', assistant='A') %}"
        "{% for m in messages %}{{ turn(names.get(m.role, '?'), m.content) }}{% endfor %}"
        "{% if tools %}tools{% endif %}{% if documents is none %}none{% endif %}{{ undefined_variable }}"
        "{{ unk_token }}|{{ bos_token }}"
    ),
    "only lists of parts": (
        "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{% if part.type == 'text' %}"
        "{{ part.text }}{% endif %}{% endfor %}</{{ m.role }}>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    ),
    "a text or parts": (
        "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for part in m.content %}{{ part['text'] }}{% endfor %}{% endif %}</{{ m.role }}>{% endfor %}"
    ),
    "what fails": "{% for m in messages %}{{ m.content + 1 }}{{ m.nothing.there }}{% endfor %}",
    "private names": "{% set ns = namespace(_a=1) %}{{ messages[0].__class__.__mro__ }}",
    "upper case": "{% for m in messages %}{{ m.content | upper }};{% endfor %}",
}
CONVERSATIONS = {
    "one": [("user", "hi")],
    "system": [("system", "be <brief> & kind"), ("user", " ünïcode 🙂 ")],
    "empty system": [("system", ""), ("user", "x")],
    "turns": [
        ("user", "a"),
        ("assistant", "<think>\nno\n</think>\n\nb"),
        ("user", "c\n\n```py\nprint('{{ 1 }}')\n```"),
    ],
    "two of the user": [("user", "a"), ("user", "b")],
    "tool": [("user", "a"), ("assistant", "b"), ("tool", '{"x": 1}'), ("user", "c")],
    "prefill": [("user", "Name one."), ("assistant", "Sure, it is ")],
    "prefill after a system message": [("system", "s"), ("user", "u"), ("assistant", "```json\n{")],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = AutoTokenizer.from_pretrained(tiny_model("llama", tmp_path_factory.mktemp("model")))
    for name, text in SPECIAL.items():
        setattr(found, name, text)
    return found


def template(text: str, **options: Any) -> ChatTemplate:
    return ChatTemplate(TemplateSource(text, "chat_template.jinja"), SPECIAL, **options)


def by_transformers(tokenizer: Any, text: str, messages: Sequence[Message], *, continue_last: bool) -> str | None:
    """What transformers renders; ``None`` where it refuses."""
    try:
        rendered: str = tokenizer.apply_chat_template(
            list(messages),
            chat_template=text,
            tokenize=False,
            add_generation_prompt=not continue_last,
            continue_final_message=continue_last,
        )
    except Exception:  # noqa: BLE001 - whatever a template makes it raise
        return None
    return rendered


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_that_of_transformers(tokenizer: Any, name: str, conversation: str) -> None:
    text = TEMPLATES[name]
    turns = [{"role": role, "content": content} for role, content in CONVERSATIONS[conversation]]
    given = turns
    if name == "only lists of parts":  # transformers renders these templates for lists only
        given = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    for continue_last in (False, True) if name != "JSON" else (False,):
        expected = by_transformers(tokenizer, text, given, continue_last=continue_last)
        if expected is None:
            with pytest.raises(InputError, match=r"^messages: do not suit this model's chat template: \S"):
                template(text).render(turns, continue_last=continue_last)
        else:
            assert template(text).render(turns, continue_last=continue_last) == expected
            assert template(text).render(given, continue_last=continue_last) == expected


@given(
    contents=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=4),
    name=st.sampled_from([name for name in TEMPLATES if name not in ("only lists of parts", "JSON")]),
    continue_last=st.booleans(),
)
def test_any_texts_give_what_transformers_gives(
    tokenizer: Any, contents: list[str], name: str, continue_last: bool
) -> None:
    turns = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(contents)]
    if continue_last and not contents[-1]:
        return  # that has a test of its own
    expected = by_transformers(tokenizer, TEMPLATES[name], turns, continue_last=continue_last)
    try:
        ours = template(TEMPLATES[name]).render(turns, continue_last=continue_last)
    except InputError:
        ours = None
    assert ours == expected


def test_an_empty_prefill_opens_the_turn() -> None:
    turns = [{"role": "user", "content": "hi"}]
    for name in ("plain turns", "no system role"):
        rules = template(TEMPLATES[name])
        assert rules.render([*turns, {"role": "assistant", "content": ""}], continue_last=True) == rules.render(turns)


def test_a_prefill_that_the_template_changes_is_refused() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Sure"}]
    for name in ("upper case", "JSON"):
        with pytest.raises(InputError, match="it changes or repeats the text of the last message"):
            template(TEMPLATES[name]).render(turns, continue_last=True)


def test_parts_are_joined_for_a_template_that_takes_texts() -> None:
    turns = [{"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}]
    assert template(TEMPLATES["plain turns"]).render(turns) == "<|start|>user\na b<|end|>\n<|start|>assistant\n"


def test_what_follows_an_answer_is_known() -> None:
    after = {name: template(text).text_after_answer for name, text in TEMPLATES.items()}
    assert after["plain turns"] == after["a system message of its own"] == "<|end|>\n"
    assert after["alternation"] == "</s>"
    assert after["only lists of parts"] == "</assistant>"
    assert after["what fails"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
    ],
)
def test_a_template_that_does_not_end_is_ended(text: str) -> None:
    with pytest.raises(InputError, match=r"it has not rendered them within 0\.01 s"):
        template(text, time_limit_s=0.01).render([{"role": "user", "content": "x"}])


def test_a_template_that_calls_itself_forever_is_an_error_of_the_caller() -> None:
    with pytest.raises(InputError, match="do not suit this model's chat template: maximum recursion depth"):
        template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").render([{"role": "user", "content": "x"}])


def test_an_error_names_the_input_and_is_one_short_line() -> None:
    text = "{{ raise_exception('one\n\ntwo' ~ 'x' * 10000) }}"
    with pytest.raises(InputError) as caught:
        template(text).render([{"role": "user", "content": "x"}], input_name="system_prompt")
    assert str(caught.value).startswith("system_prompt: do not suit this model's chat template: one two")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{% if %}", "line 1: Expected an expression"),
        ("a\n{% unknown %}", "line 2: Encountered unknown tag 'unknown'"),
        ("{{ x | nofilter }}", "line 1: No filter named 'nofilter'"),
        ("{% generation %}", "line 1: "),
    ],
)
def test_a_template_that_is_not_valid_says_where(text: str, problem: str) -> None:
    with pytest.raises(WeightsError, match=f"chat_template.jinja is no valid chat template: {problem}"):
        template(text)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"chat_template.jinja": "file", "tokenizer_config.json": {"chat_template": "config"}}, "file"),
        (
            {"tokenizer_config.json": {"chat_template": "config"}, "chat_template.json": {"chat_template": "old"}},
            "config",
        ),
        ({"chat_template.json": {"chat_template": "old"}}, "old"),
        ({"tokenizer_config.json": {"chat_template": {"default": "config"}}}, "config"),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
                }
            },
            "d",
        ),
        ({"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": "t"}]}}, None),
        ({"additional_chat_templates/default.jinja": "named", "additional_chat_templates/rag.jinja": "r"}, "named"),
        ({"additional_chat_templates/rag.jinja": "r", "chat_template.jinja": "file"}, "file"),
    ],
)
def test_the_default_template_is_found_where_it_is(
    files: dict[str, object], expected: str | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    config: Any = files.get("tokenizer_config.json", {})
    found = find_template(tmp_path, config)
    assert (found and found.text) == expected
    model = tiny_model("llama", tmp_path / "model")
    for name, content in files.items():
        if name == "tokenizer_config.json":
            known = json.loads((model / name).read_text())
            write(model / name, known | content)  # type: ignore[operator]  # it is a dict
        else:
            write(model / name, content)
    theirs = AutoTokenizer.from_pretrained(model).chat_template
    if "chat_template.json" not in files:  # which transformers reads for processors only
        assert (theirs.get("default") if isinstance(theirs, dict) else theirs) == expected


def test_a_file_that_is_no_text_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(WeightsError, match=r"chat_template\.jinja cannot be read as a chat template"):
        find_template(tmp_path, {})
