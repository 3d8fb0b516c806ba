"""What a model may say to break the page or to look like it: made of pieces, the same for the same seed."""

import random
from typing import Any

DEEP = 2500

# Names of the page's own, and of what browsers give a meaning of its own.
CLASSES = ("approval", "primary", "dialog", "call", "dot", "markdown", "visually-hidden", "icon-button", "code")
ELEMENTS = (
    *("dialog", "form", "button", "input", "textarea", "select", "details", "summary", "section", "article", "nav"),
    *("main", "style", "script", "iframe", "object", "embed", "base", "meta", "link", "template", "slot", "noscript"),
    *("svg", "math", "img", "video", "audio", "picture", "canvas", "marquee", "div", "span", "p", "table", "label"),
    *("body", "html", "title", "plaintext", "xmp", "frameset"),
)
ATTRIBUTES = (
    'class="{own}"',
    'id="threads"',
    'style="position:fixed;inset:0;z-index:9"',
    'name="nodes"',
    "open",
    "popover",
    "autofocus",
    'tabindex="1"',
    'role="alert"',
    'aria-label="Approval needed"',
    'data-status="awaiting"',
    'href="javascript:window.hurt=1"',
    'src="https://example.com/x"',
    'srcdoc="<script>window.hurt=1</script>"',
    'onclick="window.hurt=1"',
    'action="https://example.com/"',
    'part="x" slot="y" is="z"',
    'contenteditable draggable="true"',
)
APPROVAL = (
    '<section class="approval" aria-label="Approval needed"><h3>The agent asks to do this</h3><ul><li>'
    '<div class="approval-call"><strong>read</strong></div><div class="buttons">'
    '<button type="button" class="primary">Approve</button></div></li></ul></section>'
)
ADDRESSES = (
    *("javascript:window.hurt=1", "JaVaScRiPt&colon;window.hurt=1", "data:text/html,<script>window.hurt=1</script>"),
    *("vbscript:x", "file:///etc/passwd", "blob:x", "//example.com/x", "/app/", "#/t/x", "https://example.com/a?q=b"),
    *("data:image/svg+xml,<svg onload='window.hurt=1'>", "data:image/png;base64,AAAA", "mailto:a@example.com"),
    " \t\njavascript:window.hurt=1",
)
OPENERS = (
    *("> ", "- ", "1. ", "* ", "+ ", "**", "*", "_", "~~", "[", "![", "`", "```\n", "~~~x approval\n", "<", "<!--"),
    *("|", "\\", "&", "#", "\t", "\n", "\u202e", "\u2066", "\u200b", "\0", "\ufeff", "e\u0301", "\U000e0041", "😀"),
    *("http://", "www.", "a.", "@", "</div>", "</article>", "</body>", "](", "]: ", "<br>", "- [ ] ", "=\n", "---\n"),
    "<![CDATA[",
)
LONG = (
    ">" * DEEP,
    "> " * DEEP + "deep",
    "- " * DEEP + "deep",
    "1. " * DEEP + "deep",
    "> - " * DEEP + "deep",
    "\n".join("  " * level + "- item" for level in range(200)),
    "<blockquote>" * DEEP,
    "<b>" * DEEP,
    "**a *b " * DEEP,
    "[" * DEEP + "a" + "](https://example.com)" * DEEP,
    "![" * DEEP,
    "|x" * 200 + "|\n" + "|-" * 200 + "|\n" + "|x|\n" * 800,
    "a." * 20_000 + "@",
    "http://" + "a." * 20_000,
    "---\n" * 5000,
    "```\n" * 5000,
    "x" * 300_000,
    "&amp;" * 10_000,
    "a  \n" * 10_000,
    "~~~ approval primary\n<dialog open>\n",
    "- item\n\n  ```approval primary\n  code\n  ```",
    APPROVAL,
    "\n\n".join([APPROVAL] * 3),
    '<dialog open class="dialog"><form method="dialog"><button>Approve</button></form></dialog>',
)


def texts(seed: int, count: int) -> list[str]:
    """What was thought of, then as much that is put together by chance."""
    chance = random.Random(seed)  # noqa: S311
    return [*LONG, *(_text(chance) for _ in range(count))]


def _text(chance: random.Random) -> str:
    return "".join(_piece(chance) for _ in range(chance.randint(1, 12)))


def _piece(chance: random.Random) -> str:
    kind = chance.randrange(6)
    if kind == 0:
        return _element(chance)
    if kind == 1:
        return chance.choice(("[{0}]({1})", "![{0}]({1})", "<{1}>", "[{0}]: {1}\n[{0}]", '[{0}]({1} "t")')).format(
            chance.choice(("Approve", "a", "**b**", "")), chance.choice(ADDRESSES)
        )
    if kind == 2:
        return chance.choice(OPENERS) * chance.choice((1, 2, 3, 30, 300))
    if kind == 3:
        return f"\n\n```{chance.choice(CLASSES)} {chance.choice(CLASSES)}\n{_element(chance)}\n```\n"
    if kind == 4:
        return "".join(chance.choice(OPENERS) for _ in range(chance.randint(1, 40)))
    return chance.choice(("word ", "\n", "\n\n", "    ", "| a | b |\n|---|:-:|\n| c | d |\n"))


def _element(chance: random.Random) -> str:
    name = chance.choice(ELEMENTS)
    attributes = " ".join(
        chance.choice(ATTRIBUTES).replace("{own}", chance.choice(CLASSES)) for _ in range(chance.randint(0, 4))
    )
    inside = _element(chance) if chance.random() < 0.4 else "Approve"
    return f"<{name} {attributes}>{inside}" + (f"</{name}>" if chance.random() < 0.7 else "")


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = "<dialog open>"
    for _ in range(depth):
        value = [value]
    return value
