import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.intake.producers.speech.scripts import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好,世界", "zh"),
        ("我用 Python 写 code", "zh"),
        ("今天我们学习 machine learning and deep learning", "zh"),
        ("鲜の美味餐厅欢迎你来", "zh"),
        ("𠮷", "zh"),
        ("こんにちは", "ja"),
        ("カタカナ", "ja"),
        ("ｶﾀｶﾅ", "ja"),
        ("東京へ行きます", "ja"),
        ("안녕하세요", "ko"),
        ("대한민국 大韓民國", "ko"),
        ("Привет, мир", "ru"),
        ("Привет, это Python и ещё раз Python", "ru"),
        ("Hello, world", "en"),
        ("Say привет to the world", "en"),
        ("The sign for a mountain looks like three of its peaks and is written 山", "en"),
        ("Grüße aus Köln", "en"),
        ("2026-11-20, 100 %", "en"),
        ("🎉", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_a_text_is(text, language):
    assert language_of(text) == language


HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)


@given(st.lists(HAN, min_size=1), st.lists(WORD, max_size=20))
def test_text_with_a_han_character_for_nine_words_is_never_read_in_english(han, words):
    mixed = [*han, *words[: 9 * len(han)]]
    assert language_of(" ".join(mixed)) == "zh"
    assert language_of("".join(reversed(mixed))) == "zh"


def test_a_long_text_is_judged_by_its_beginning():
    assert language_of("你好。" * 2000 + "hello " * 1_000_000) == "zh"
