"""A conversation as text, in chunks that hold everything once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.context.counting import count_text
from shared.context.transcript import cut, first_piece, pack, transcribe
from shared.domain import Json

_texts = st.text(alphabet=st.sampled_from("ab .\n你🎉"), max_size=120)


def _words(text: str) -> int:
    """A count that is additive over pieces cut anywhere."""
    return len(text)


@given(groups=st.lists(st.lists(_texts, max_size=4), max_size=6), limit=st.integers(1, 200))
def test_chunks_cover_everything_once_and_keep_their_limit(groups: list[list[str]], limit: int) -> None:
    chunks = pack(groups, limit=limit, count=_words)
    assert "".join(chunks) == "".join(text for group in groups for text in group)
    assert all(0 < len(chunk) <= limit for chunk in chunks)


@given(groups=st.lists(st.lists(_texts, min_size=1, max_size=3), max_size=6), limit=st.integers(150, 400))
def test_a_group_that_fits_is_never_separated(groups: list[list[str]], limit: int) -> None:
    # GIVEN groups that can be told apart
    marked = [[f"<{place}>{''.join(group)[: limit - 20]}</{place}>"] for place, group in enumerate(groups)]
    for chunk in pack(marked, limit=limit, count=_words):
        for place in range(len(groups)):
            assert (f"<{place}>" in chunk) == (f"</{place}>" in chunk)


@settings(deadline=None)
@given(text=st.text(max_size=400), limit=st.integers(4, 60))
def test_pieces_of_real_tokens(text: str, limit: int) -> None:
    pieces = cut(text, limit=limit, count=lambda piece: count_text(piece, "o200k"))
    assert "".join(pieces) == text
    assert all(count_text(piece, "o200k") <= limit or len(piece) == 1 for piece in pieces)


def test_a_piece_ends_where_a_sentence_does() -> None:
    text = "One sentence is here. Another sentence is there. A third one goes on and on"
    assert first_piece(text, limit=60, count=_words) == "One sentence is here. Another sentence is there. "
    assert first_piece("line one\nline two is longer", limit=12, count=_words) == "line one\n"
    assert first_piece("x" * 50, limit=12, count=_words) == "x" * 12


def test_a_message_says_whose_it_is_and_what_it_calls() -> None:
    called: Json = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "function": {"name": "search", "arguments": '{"q": 1}'}}],
    }
    assert transcribe("assistant", called) == '[assistant]\n(calls search with {"q": 1})\n\n'
    result: Json = {"role": "tool", "tool_call_id": "c", "name": "search", "content": "found"}
    assert transcribe("tool", result) == "[result of search]\nfound\n\n"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    shown: Json = {"role": "user", "content": [{"type": "text", "text": "look"}, image]}
    assert transcribe("user", shown) == '[user]\nlook\n("image_url" block)\n\n'
