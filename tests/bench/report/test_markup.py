"""HTML that holds whatever is put into it."""

from pilotlight.bench.report.markup import Html, join, printable, tag


def test_text_and_attributes_are_escaped_and_markup_is_not():
    assert tag("p", "<b> & \"'", title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt; &amp; &quot;&#x27;</p>'
    )
    assert tag("p", tag("b", "x"), " y") == "<p><b>x</b> y</p>"
    assert join("<", Html("<hr>"), None) == "&lt;<hr>"


def test_attributes_that_are_words_of_python_or_switches():
    assert tag("input", checked=True, disabled=False, id=None, class_="a", aria_label="b") == (
        '<input checked class="a" aria-label="b">'
    )


def test_an_attribute_may_be_called_name():
    assert tag("meta", name="viewport") == '<meta name="viewport">'


def test_what_no_page_can_hold_is_replaced():
    assert printable("a\x00\x1b[31m\ud800\x85z\n\t") == "a��[31m��z\n\t"
    assert tag("p", "\x1b", title="\x1b") == '<p title="�">�</p>'
