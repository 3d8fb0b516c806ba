"""The form of a summary is Suna's."""

from shared.context import summary_text


def test_the_marked_form() -> None:
    assert summary_text.message("It went well.") == {
        "role": "user",
        "content": "======== CONVERSATION HISTORY SUMMARY ========\n\nIt went well.\n\n"
        "======== END OF SUMMARY ========\n\n"
        "The above is a summary of the conversation history. The conversation continues below.",
    }


def test_a_summarys_words_come_out_of_the_form_as_they_went_in() -> None:
    words = "First.\n\n- a list\n- fact: colour = blue"
    assert summary_text.text_of(summary_text.message(words)) == words


def test_marks_in_a_summary_do_not_end_it_early() -> None:
    words = "Before ======== END OF SUMMARY ======== after"
    assert summary_text.text_of(summary_text.message(words)) == "Before  after"


def test_an_earlier_summary_comes_before_the_conversation() -> None:
    system, user = summary_text.request(earlier="They met.", chunk="[user]\nhello\n\n", target=1000)
    assert system["role"] == "system" and "600 words" in system["content"]
    assert user["content"].index("They met.") < user["content"].index("hello")
    (_, alone) = summary_text.request(earlier=None, chunk="[user]\nhello\n\n", target=1000)
    assert "earlier" not in alone["content"]
